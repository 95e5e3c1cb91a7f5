// Means, extremes and counts of stretches; slower series; the noise memory.
#include "warp.cuh"

// Of each stretch of `length` samples: a warp for each channel and stretch.
extern "C" __global__ void stretch_stats(const double* x_w, const bool* valid, double* mean_w,
                                         double* min_w, double* max_w, long long* count,
                                         long long stretches, int length) {
    const long long i = warp_number();
    if (i >= stretches) return;
    const double* x = x_w + i * length;
    const bool* ok = valid + i * length;
    const int measured = count_of(length, [&](int k) { return ok[k]; });
    const bool none = measured == 0;  // of the held values then
    const double total_w = fold(length, [&](int k) { return ok[k] || none ? x[k] : 0.0; });
    const double most_w =
        most_of(length, -infinity(), [&](int k) { return ok[k] || none ? x[k] : -infinity(); });
    const double least_w =
        -most_of(length, -infinity(), [&](int k) { return ok[k] || none ? -x[k] : -infinity(); });
    if (lane() != 0) return;
    mean_w[i] = total_w / (none ? length : measured);
    min_w[i] = least_w;
    max_w[i] = most_w;
    count[i] = measured;
}

// Mean of each tick's valid samples, and whether there was any.
extern "C" __global__ void frame_means(const double* x_w, const bool* valid, double* mean_w,
                                       bool* some, long long frames, int length) {
    const long long i = warp_number();
    if (i >= frames) return;
    const double* x = x_w + i * length;
    const bool* ok = valid + i * length;
    const int measured = count_of(length, [&](int k) { return ok[k]; });
    const bool none = measured == 0;
    const double total_w = fold(length, [&](int k) { return ok[k] || none ? x[k] : 0.0; });
    if (lane() != 0) return;
    mean_w[i] = total_w / (none ? length : measured);
    some[i] = !none;
}

// Newest `count` samples of the series `factor` times slower: a warp for each channel and sample.
extern "C" __global__ void slower(const float* tail_w, const bool* valid, const double* taps,
                                  double* x_w, bool* known, int channels, int n_time, int n_tap,
                                  int factor, int count) {
    const long long i = warp_number();
    if (i >= (long long)channels * count) return;
    const long long from =
        i / count * n_time + n_time - n_tap - (long long)factor * (count - 1 - i % count);
    const double sum_w = fold(n_tap, [&](int k) { return double(tail_w[from + k]) * taps[k]; });
    const int measured = count_of(n_tap, [&](int k) { return valid[from + k]; });
    if (lane() != 0) return;
    x_w[i] = sum_w;
    known[i] = double(measured) / n_tap >= 0.8;
}

// Kept peaks of some seconds pushed into each leaf's memory, newest last.
extern "C" __global__ void remember(const float* peak_w, const bool* keep, const float* old_w,
                                    const long long* old_warm_s, float* new_w, long long* warm_s,
                                    int leaves, int seconds, int memory_s) {
    const long long leaf = thread_number();
    if (leaf >= leaves) return;
    int place = memory_s;
    for (int s = seconds - 1; s >= 0 && place > 0; --s)
        if (keep[leaf * seconds + s]) new_w[leaf * memory_s + --place] = peak_w[leaf * seconds + s];
    const long long kept = memory_s - place;
    for (int k = memory_s - 1; place > 0; --k)
        new_w[leaf * memory_s + --place] = old_w[leaf * memory_s + k];
    const long long grown = old_warm_s[leaf] + kept;
    warm_s[leaf] = grown > memory_s ? memory_s : grown;
}

// Median of what is remembered, by rank: a warp for each leaf.
extern "C" __global__ void noise_scale(const float* peaks_w, const long long* warm_s,
                                       double* scale_w, int leaves, int memory_s) {
    const long long leaf = warp_number();
    if (leaf >= leaves) return;
    const int filled = int(warm_s[leaf]), last = filled > 0 ? filled - 1 : 0;
    const float* peaks = peaks_w + leaf * memory_s + memory_s - filled;
    const int low = last / 2, high = low + 1 < last ? low + 1 : last;
    double low_w = -infinity(), high_w = -infinity();
    for (int k = lane(); k < filled; k += WARP) {
        int rank = 0;
        for (int j = 0; j < filled; ++j)
            rank += peaks[j] < peaks[k] || (peaks[j] == peaks[k] && j < k);
        if (rank == low) low_w = peaks[k];
        if (rank == high) high_w = peaks[k];
    }
    low_w = warp_max(low_w);
    high_w = warp_max(high_w);
    const double share = last * 0.5 - low, between_w = low_w + share * (high_w - low_w);
    if (lane() == 0) scale_w[leaf] = filled == 0 ? 0.0 : between_w < high_w ? between_w : high_w;
}
