// Every tick: masked changes, sums up the trees, votes of the leaves, their peaks.
//
// Arrays are (row, time), time last; rows are the channels of all sites of a batch, then their
// nodes. The past is a ring of `depth` ticks a channel; `at[0]` is where the next tick goes.
#include "warp.cuh"

#define OWN_PLANES 5

struct Ring {
    const float* power_w;
    const bool* ok;
    const long long* at;
    int depth;
};

// Change of a channel from `lag` ticks before `t` to `t`, zero where an end was not measured.
__device__ __forceinline__ double change(const double* mean_w, const bool* ok, Ring past,
                                         long long channel, int t, int n_time, int lag, bool* both) {
    const long long here = channel * n_time + t;
    double before_w;
    if (t >= lag) {
        *both = ok[here] && ok[here - lag];
        before_w = mean_w[here - lag];
    } else {
        const long long place = (past.at[0] + past.depth + t - lag) % past.depth;
        *both = ok[here] && past.ok[channel * past.depth + place];
        before_w = past.power_w[channel * past.depth + place];
    }
    return *both ? mean_w[here] - before_w : 0.0;
}

// Eight planes of (row, time): mean, measured, change from the tick before, whether it is known,
// change over a second; of leaves: rise, fall, moved. `leaf_of` is a leaf's number, -1 for others.
extern "C" __global__ void frame_planes(const double* mean_w, const bool* ok, const float* past_w,
                                        const bool* past_ok, const long long* at,
                                        const double* threshold_w, const int* leaf_of,
                                        double* planes, int channels, int rows, int n_time,
                                        int depth, int per_s) {
    const long long i = thread_number();
    if (i >= (long long)channels * n_time) return;
    const long long channel = i / n_time, plane = (long long)rows * n_time;
    const int t = int(i % n_time);
    const Ring past{past_w, past_ok, at, depth};
    bool tick_ok, second_ok;
    const double tick_w = change(mean_w, ok, past, channel, t, n_time, 1, &tick_ok);
    const double second_w = change(mean_w, ok, past, channel, t, n_time, per_s, &second_ok);
    planes[i] = mean_w[i];
    planes[i + plane] = ok[i];
    planes[i + 2 * plane] = tick_w;
    planes[i + 3 * plane] = tick_ok;
    planes[i + 4 * plane] = second_w;
    const int leaf = leaf_of[channel];
    const double least_w = leaf < 0 ? infinity() : threshold_w[leaf];
    const bool up = leaf >= 0 && second_ok && second_w >= least_w;
    const bool down = leaf >= 0 && second_ok && -second_w >= least_w;
    planes[i + 5 * plane] = up ? second_w : 0.0;
    planes[i + 6 * plane] = down ? -second_w : 0.0;
    planes[i + 7 * plane] = double(up) + double(down);
}

// Sums of the nodes from `node` on, one level: a warp for each node, tick and plane. The first five
// planes follow one tree, the others that of the leaves (`leaf_first`, `leaf_index`).
extern "C" __global__ void tree_sums(double* planes, const long long* first, const long long* index,
                                     const long long* leaf_first, const long long* leaf_index,
                                     int node, int nodes, int channels, int rows, int n_time) {
    const long long i = warp_number();
    const int plane = blockIdx.y;
    if (i >= (long long)nodes * n_time) return;  // whole warps leave: i is the same in all lanes
    const long long sum_of = node + i / n_time;
    const int t = int(i % n_time);
    const long long* from = plane < OWN_PLANES ? first : leaf_first;
    const long long* member = (plane < OWN_PLANES ? index : leaf_index) + from[sum_of];
    double* here = planes + (long long)plane * rows * n_time;
    const int count = int(from[sum_of + 1] - from[sum_of]);
    const double sum = fold(count, [&](int k) { return here[member[k] * n_time + t]; });
    if (lane() == 0) here[(channels + sum_of) * n_time + t] = sum;
}

// What the sums say: share measured, synchrony, and the changes of the watched nodes.
extern "C" __global__ void frame_view(const double* planes, const double* counts,
                                      const double* least, const long long* watched, double* node_w,
                                      double* share, double* second_w, double* synchrony,
                                      double* moved_w, bool* moved_ok, int channels, int nodes,
                                      int n_watched, int n_time) {
    const long long i = thread_number(), all = (long long)nodes * n_time;
    const long long plane = (long long)(channels + nodes) * n_time;
    const double* here = planes + (long long)channels * n_time;
    if (i < all) {
        const long long node = i / n_time;
        node_w[i] = here[i];
        share[i] = here[i + plane] / counts[node];
        second_w[i] = here[i + 4 * plane];
        const double up_w = here[i + 5 * plane], down_w = here[i + 6 * plane];
        const double total_w = up_w + down_w;
        const bool enough = total_w > 0 && here[i + 7 * plane] >= least[node];
        synchrony[i] = enough ? larger(up_w, down_w) / total_w : 0.0;
    }
    if (i < (long long)n_watched * n_time) {
        const long long from = watched[i / n_time] * n_time + i % n_time;
        moved_w[i] = here[from + 2 * plane];
        moved_ok[i] = here[from + 3 * plane] > 0;
    }
}

// Largest absolute change over one second of each leaf in each second of the frame; -1: none known.
extern "C" __global__ void leaf_peaks(const double* mean_w, const bool* ok, const float* past_w,
                                      const bool* past_ok, const long long* at,
                                      const long long* leaf_row, double* peak_w, int leaves,
                                      int seconds, int n_time, int depth, int per_s) {
    const long long i = thread_number();
    if (i >= (long long)leaves * seconds) return;
    const Ring past{past_w, past_ok, at, depth};
    const int span = n_time / seconds, from = int(i % seconds) * span;
    double most_w = -1.0;
    for (int t = from; t < from + span; ++t) {
        bool both;
        const double second_w =
            change(mean_w, ok, past, leaf_row[i / seconds], t, n_time, per_s, &both);
        if (both) most_w = larger(most_w, fabs(second_w));
    }
    peak_w[i] = most_w;
}

// The newest ticks into the ring; a frame may be longer than it.
extern "C" __global__ void ring_push(const double* mean_w, const bool* ok, float* past_w,
                                     bool* past_ok, const long long* at, int channels, int n_time,
                                     int depth) {
    const int kept = min(n_time, depth);
    const long long i = thread_number();
    if (i >= (long long)channels * kept) return;
    const long long channel = i / kept, t = n_time - kept + i % kept;
    const long long place = channel * depth + (at[0] + t) % depth;
    past_w[place] = float(mean_w[channel * n_time + t]);
    past_ok[place] = ok[channel * n_time + t];
}

// After everything that reads `at`: a kernel of its own, for blocks have no order.
extern "C" __global__ void ring_advance(long long* at, int n_time, int depth) {
    if (thread_number() == 0) at[0] = (at[0] + n_time) % depth;
}
