// Steps: each watched node's way whitened, and its largest mean shift over 16 windows.
#include "warp.cuh"

#define TICKS 128
#define TAIL 255
#define GROUPS 5
#define LONGEST 256
#define REACH (TAIL + TICKS)

// Of what is not negative: whole numbers in the same order, for an atomic maximum.
__device__ __forceinline__ unsigned long long ordered_bits(double value) {
    return (unsigned long long)__double_as_longlong(value);
}

// Innovations of one node about its baseline, bounded, behind the `TAIL` of the past.
__device__ __forceinline__ void whiten(const double* way_w, const bool* ok, const double* past_z_w,
                                       const double* coefficients, double offset_w, double bound_w,
                                       double sigma_w, double* z_w, int order, int n_time,
                                       double* alone) {
    double most = 0;
    for (int t = threadIdx.x; t < TAIL; t += TICKS) z_w[t] = past_z_w[t];
    for (int t = threadIdx.x; t < n_time; t += TICKS) {
        double out_w = way_w[order + t];
        bool known = ok[order + t];
        for (int lag = 1; lag <= order; ++lag) {
            out_w = out_w - coefficients[lag - 1] * way_w[order + t - lag];
            known = known && ok[order + t - lag];
        }
        out_w = known ? out_w - offset_w : 0.0;
        most = larger(most, fabs(out_w) / (sigma_w > 0 ? sigma_w : infinity()));
        out_w = out_w > bound_w ? bound_w : out_w;
        z_w[TAIL + t] = out_w < -bound_w ? -bound_w : out_w;
    }
    *alone = most;
}

// One block of TICKS threads for each node; time in chunks of TICKS. `sums[p]` of a sample is that
// of the newest 1, 2, 4, ... samples, each made from the one before, as `steps.box_sums` does it.
extern "C" __global__ void __launch_bounds__(TICKS)
    scan(const double* path_w, const bool* path_ok, const double* past_z_w, const long long* since,
         const double* coefficients, const double* offset_w, const double* sigma_w,
         const double* bound_w, const double* baseline, const double* limits, double* up,
         double* down, long long* up_window, long long* down_window, double* greatest,
         double* innovations_w, int order, int n_time) {
    __shared__ double half[REACH], whole[REACH], twice[REACH];
    __shared__ unsigned long long best[GROUPS];
    const long long row = blockIdx.x, length = TAIL + n_time;
    const int me = threadIdx.x;
    const bool able = sigma_w[row] > 0 && baseline[row] > 0;
    const double scale_w = able ? sigma_w[row] : infinity(), rest = able ? baseline[row] : 1.0;
    double* z_w = innovations_w + row * length;
    double most_alone;
    whiten(path_w + row * (order + n_time), path_ok + row * (order + n_time), past_z_w + row * TAIL,
           coefficients + row * order, offset_w[row], bound_w[row], sigma_w[row], z_w, order, n_time,
           &most_alone);
    most_alone = warp_max(most_alone);
    if (me < GROUPS) best[me] = 0;
    __syncthreads();  // innovations of the whole block
    if (lane() == 0) atomicMax(&best[0], ordered_bits(most_alone));
    for (int chunk = 0; chunk < n_time; chunk += TICKS) {
        for (int k = me; k < REACH; k += TICKS)
            whole[k] = chunk + k < length ? z_w[chunk + k] : 0.0;
        __syncthreads();  // the chunk is there
        const int t = chunk + me;
        const bool real = t < n_time;
        const long long long_since = real ? since[row] + t + 1 : 0;
        double rise = 0, fall = 0, most = 0;
        int rise_at = 0, fall_at = 0, place = 0, group = 0;
        double *shorter = half, *sums = whole, *longer = twice;
        for (int p = 1; p <= LONGEST; p *= 2) {
            for (int odd = 0; odd < 2; ++odd) {
                if (odd && (p == 1 || p == LONGEST)) continue;
                const int window = odd ? p + p / 2 : p;
                const double box_w = odd ? sums[TAIL + me] + shorter[TAIL + me - p] : sums[TAIL + me];
                const double spread_w = scale_w * sqrt(window * (1 + window / rest));
                const double shift = long_since >= window ? box_w / spread_w : 0.0;
                const double ratio = shift / limits[row * GROUPS + group];
                most = larger(most, fabs(shift));
                if (ratio > rise) rise = ratio, rise_at = place;
                if (-ratio > fall) fall = -ratio, fall_at = place;
                ++place;
                if (place == 1 || place == 3 || place == 6 || place == 10 || place == 16) {
                    const double largest = warp_max(most);
                    if (lane() == 0) atomicMax(&best[group], ordered_bits(largest));
                    most = 0;
                    ++group;
                }
            }
            if (p == LONGEST) break;
            for (int k = me; k < REACH; k += TICKS)
                longer[k] = k >= p ? sums[k] + sums[k - p] : 0.0;
            __syncthreads();  // the longer sums are there, the shorter ones no longer read
            double* free = shorter;
            shorter = sums, sums = longer, longer = free;
        }
        if (real) {
            const long long here = row * n_time + t;
            up[here] = rise, down[here] = fall;
            up_window[here] = rise_at, down_window[here] = fall_at;
        }
        __syncthreads();  // before the next chunk writes over this one
    }
    if (me < GROUPS) greatest[row * GROUPS + me] = __longlong_as_double((long long)best[me]);
}

// On at `on`, off below `off`, as before in between; NaN holds. A thread for each row.
extern "C" __global__ void two_threshold(const double* statistic, const bool* state, bool* active,
                                         bool* new_state, double on, double off, int rows,
                                         int n_time) {
    const long long row = thread_number();
    if (row >= rows) return;
    bool now = state[row];
    for (int t = 0; t < n_time; ++t) {
        const double value = statistic[row * n_time + t];
        now = value >= on || (now && !(value < off));
        active[row * n_time + t] = now;
    }
    new_state[row] = now;
}
