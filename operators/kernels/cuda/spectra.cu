// Oscillations: what goes into the FFT of one window, and everything after it.
//
// `x_w`, `valid` are (channel, depth); the window's samples begin at `at[0]` and may wrap around.
#include "warp.cuh"

#define LINE 1.5
#define KEEP 3.0
#define KEEP_MEAN 0.9119
#define FROZEN 4.0
#define CLIP 13.0
#define FULL 1.01
#define VALID_SHARE 0.8
#define NO_NUMBER (-(1 << 30))  // more than any count makes good
#define HUGE_W 1e17  // a change that is no less is no number: its square would not be in float32
#define LEAST_W2 1e-12

// Tapered differences of the newest `samples` of `window`, zeros behind them up to twice as many;
// how many were measured at both ends is added to `count` (channel), zero before. If something in
// it is no number, the count is below zero: the window says nothing and teaches nothing.
extern "C" __global__ void window_moves(const float* x_w, const bool* valid, const long long* at,
                                        const double* taper, double* moved_w, int* count,
                                        int samples, int window, int depth) {
    const int k = blockIdx.y * blockDim.x + threadIdx.x;
    const long long channel = blockIdx.x;
    bool both = false;
    double change_w = 0;
    if (k < samples) {
        const long long before = (at[0] + window - samples + k) % depth, here = (before + 1) % depth;
        both = valid[channel * depth + before] && valid[channel * depth + here];
        if (both) change_w = double(x_w[channel * depth + here]) - double(x_w[channel * depth + before]);
    }
    const bool number = fabs(change_w) < HUGE_W;
    if (!number) atomicMin(&count[channel], NO_NUMBER);
    const int measured = __popc(__ballot_sync(EVERY_LANE, both));
    if (lane() == 0 && measured > 0) atomicAdd(&count[channel], measured);
    if (k < 2 * samples) moved_w[channel * 2 * samples + k] = number && k < samples ? change_w * taper[k] : 0.0;
}

// One window of a design; a bin is counted among all windows' bins.
struct Window {
    double memory, height;
    long long bars_from;
    int windows, all, window, first_bin, place, bins, first_wide, wides, all_wides, samples;
};

// Rows of `per_bin`, each as long as there are bins.
enum { NEAR_WEIGHT, LOUDER, CAP, FACTOR, OFFSET, HEARD, TESTED, GAIN };

// Mean over a wide neighbourhood without the line itself; `edges` are low, inner low, inner high
// and high, (4, neighbourhood).
__device__ __forceinline__ double mean_around(const double* logs, const long long* edges,
                                              const double* weight, const Window& t, int wide) {
    double sum = 0;
    for (int side = 0; side < 2; ++side) {
        const long long low = edges[2 * side * t.all_wides + wide] - t.place;
        const long long high = edges[(2 * side + 1) * t.all_wides + wide] - t.place;
        for (long long k = low; k < high; ++k) sum += logs[k];
    }
    return sum * weight[wide];
}

// Mean of the past over the near neighbourhood, first and past-the-last bin in `near` (2, bin).
__device__ __forceinline__ double mean_near(const double* past, const long long* near,
                                            const double* per_bin, const Window& t, int bin) {
    double sum = 0;
    for (long long k = near[bin]; k < near[t.all + bin]; ++k) sum += past[k - t.place];
    return sum * per_bin[NEAR_WEIGHT * t.all + bin];
}

// Squared amplitude of a bin of the padded spectrum; nothing where it is no number's.
__device__ __forceinline__ double power_of(const double* spectrum, const int* count,
                                           const Window& t, int bin) {
    if (count[blockIdx.x] < 0) return 0.0;
    const double* z = spectrum + 2 * ((long long)blockIdx.x * (t.samples + 1) + t.first_bin + bin);
    return z[0] * z[0] + z[1] * z[1];
}

// One window of one channel a block: expected power, excesses, sums, what is learned. State in,
// state out: the old and the new are different arrays.
extern "C" __global__ void look(const double* spectrum, const int* count, const float* past_w2,
                                const float* sums, const long long* learned, float* new_past_w2,
                                float* new_sums, long long* new_learned, double* now,
                                double* lasting, double* votes, double* amplitude_w, double* most,
                                const double* per_bin, const long long* near,
                                const long long* edges, const double* wide_weight,
                                const double* all_bars, Window t) {
    DYNAMIC_SHARED(double, past);
    double *log_power = past + t.bins, *log_smooth = log_power + t.bins;
    double *around_now = log_smooth + t.bins, *around_past = around_now + t.wides;
    __shared__ double best[3][WARP];
    const int channel = blockIdx.x, channels = gridDim.x;
    const long long row = (long long)channel * t.all, from = row + t.place;
    for (int k = threadIdx.x; k < t.bins; k += blockDim.x) past[k] = past_w2[from + k];
    __syncthreads();  // the past is there
    for (int k = threadIdx.x; k < t.bins; k += blockDim.x) {
        const double smooth = mean_near(past, near, per_bin, t, t.place + k);
        log_smooth[k] = log(larger(smooth, LEAST_W2));
        log_power[k] = log(larger(power_of(spectrum, count, t, k), LEAST_W2));
    }
    __syncthreads();  // the logarithms are there
    for (int k = threadIdx.x; k < t.wides; k += blockDim.x) {
        around_now[k] = mean_around(log_power, edges, wide_weight, t, t.first_wide + k);
        around_past[k] = mean_around(log_smooth, edges, wide_weight, t, t.first_wide + k);
    }
    __syncthreads();  // the means are there
    const long long looks = learned[channel * t.windows + t.window];
    const bool enough = double(count[channel]) / t.samples >= VALID_SHARE;
    const double after = looks + enough < t.memory ? looks + enough : t.memory;
    const double* bars = all_bars + 4 * (t.bars_from + looks);
    const double step = enough ? 1.0 / (after > 1 ? after : 1.0) : 0.0;
    double largest[3] = {0, 0, 0};
    for (int k = threadIdx.x; k < t.bins; k += blockDim.x) {
        const int bin = t.place + k;
        const long long here = from + k;
        const double* table = per_bin + bin;
        const double power = power_of(spectrum, count, t, k), old = past[k];
        const double smooth = mean_near(past, near, per_bin, t, bin);
        // neighbours are those among all bins, as the reference has it; the old ones
        const double left = past_w2[row + max(bin - 1, 0)];
        const double right = past_w2[row + min(bin + 1, t.all - 1)];
        const double own = larger(larger(left, right), old);
        const bool line = own > LINE * smooth;
        const double level = around_now[k / 8], before = around_past[k / 8];
        const double louder = smooth * exp(level - before + table[LOUDER * t.all]);
        double expected = larger(line ? own : smooth, louder);
        const double cap = exp(level) * table[CAP * t.all];
        expected = larger(expected < cap ? expected : cap, LEAST_W2);
        const double ready = enough ? 1.0 : 0.0, quiet = power / larger(expected, old);
        const double added = (quiet < CLIP ? quiet : CLIP) * (ready * bars[3]);
        const double sum = larger(sums[here] + table[FACTOR * t.all] * added - table[OFFSET * t.all], 0.0);
        const double held = narrow(sum < FULL * t.height ? sum : FULL * t.height);
        const double ratio = power / expected;
        const double cut = power * (KEEP / KEEP_MEAN) / larger(ratio, KEEP);
        const double moved = old + (cut - old) * (step * (ratio < FROZEN ? 1.0 : 0.0));
        const double seen = ratio * (ready * table[TESTED * t.all]);
        new_past_w2[here] = narrow(enough && looks == 0 ? power : moved);
        new_sums[here] = float(held);
        const double said[3] = {seen * (line ? bars[1] : bars[0]), held * table[HEARD * t.all],
                                seen * bars[2]};
        for (int m = 0; m < 3; ++m) largest[m] = larger(largest[m], said[m]);
        now[here] = said[0];
        lasting[here] = said[1];
        votes[here] = said[2];
        amplitude_w[here] = sqrt(power) * table[GAIN * t.all];
    }
    for (int m = 0; m < 3; ++m) {
        const double of_warp = warp_max(largest[m]);
        if (lane() == 0) best[m][threadIdx.x / WARP] = of_warp;
    }
    __syncthreads();  // each warp's greatest
    if (threadIdx.x < 3) {
        double of_block = t.window == 0 ? 0.0 : most[threadIdx.x * channels + channel];
        for (int w = 0; w < blockDim.x / WARP; ++w) of_block = larger(of_block, best[threadIdx.x][w]);
        most[threadIdx.x * channels + channel] = of_block;
    }
    if (threadIdx.x == 0) new_learned[channel * t.windows + t.window] = (long long)after;
}
