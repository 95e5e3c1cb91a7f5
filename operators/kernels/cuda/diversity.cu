// How the peaks and the moves of a site's leaves fall together in the trailing window.
//
// Rows are the leaves of all sites of a batch; `first[s]` is the first leaf of site s. `joined_w` is
// (leaf, window): the last seconds, NaN where not measured, the newest last.
#include "warp.cuh"

// Zero where it was not measured.
__device__ __forceinline__ double measured(double x_w) { return x_w == x_w ? x_w : 0.0; }

__device__ __forceinline__ double move(const float* row_w, int k) {
    return measured(double(row_w[k + 1]) - double(row_w[k]));
}

// Of each leaf: peak, greatest move, sum of squared moves, sum of moves; (4, leaf). A warp a leaf.
extern "C" __global__ void leaf_moves(const float* joined_w, double* of_leaf, int leaves,
                                      int window) {
    const long long leaf = warp_number();
    if (leaf >= leaves) return;
    const float* row_w = joined_w + leaf * window;
    const int moves = window - 1;
    const double peak_w = most_of(window, 0.0, [&](int k) { return measured(row_w[k]); });
    const double most_w = most_of(moves, 0.0, [&](int k) { return fabs(move(row_w, k)); });
    const double squares = fold(moves, [&](int k) {
        const double d_w = move(row_w, k);
        return d_w * d_w;
    });
    const double total_w = fold(moves, [&](int k) { return fabs(move(row_w, k)); });
    if (lane() != 0) return;
    of_leaf[leaf] = peak_w;
    of_leaf[leaf + leaves] = most_w;
    of_leaf[leaf + 2 * leaves] = squares;
    of_leaf[leaf + 3 * leaves] = total_w;
}

// Of each site and second: power and move of the sum; (2, site, window). A warp each.
extern "C" __global__ void site_seconds(const float* joined_w, const long long* first,
                                        double* of_site, int sites, int window) {
    const long long i = warp_number();
    if (i >= (long long)sites * window) return;
    const int k = int(i % window);
    const long long from = first[i / window];
    const int leaves = int(first[i / window + 1] - from);
    const float* x_w = joined_w + from * window;
    const double sum_w = fold(leaves, [&](int n) { return measured(x_w[(long long)n * window + k]); });
    const double moved_w = fold(k > 0 ? leaves : 0, [&](int n) {
        return move(x_w + (long long)n * window, k - 1);
    });
    if (lane() != 0) return;
    of_site[i] = sum_w;
    of_site[i + (long long)sites * window] = moved_w;
}

// Coincidence of the peaks; coincidence, effective number, concentration of the moves; (4, site).
extern "C" __global__ void site_diversity(const double* of_leaf, const double* of_site,
                                          const long long* first, double* found, int sites,
                                          int window, int leaves) {
    const long long site = warp_number();
    if (site >= sites) return;
    const long long from = first[site];
    const int count = int(first[site + 1] - from), moves = window - 1;
    const double *sum_w = of_site + site * window, *moved_w = sum_w + (long long)sites * window + 1;
    const double *peak_w = of_leaf + from, *most_w = peak_w + leaves;
    const double *squares = most_w + leaves, *total_w = squares + leaves;
    const double together_w = most_of(window, 0.0, [&](int k) { return sum_w[k]; });
    const double peaks_w = fold(count, [&](int n) { return peak_w[n]; });
    const double move_w = most_of(moves, 0.0, [&](int k) { return fabs(moved_w[k]); });
    const double mosts_w = fold(count, [&](int n) { return most_w[n]; });
    const double own = fold(count, [&](int n) { return squares[n]; });
    const double joint = fold(moves, [&](int k) { return moved_w[k] * moved_w[k]; });
    const int moving = count_of(count, [&](int n) { return squares[n] > 0; });
    const double all_w = fold(count, [&](int n) { return total_w[n]; });
    const double concentration = fold(count, [&](int n) {
        const double share = all_w > 0 ? total_w[n] / all_w : 0.0;
        return share * share;
    });
    const double effective = moving * (joint > 0 ? own / joint : 0.0);
    if (lane() != 0) return;
    found[site] = peaks_w > 0 ? together_w / peaks_w : 0.0;
    found[site + sites] = mosts_w > 0 ? move_w / mosts_w : 0.0;
    found[site + 2 * sites] = effective < moving ? effective : moving;
    found[site + 3 * sites] = concentration;
}
