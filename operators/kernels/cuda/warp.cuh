// Sums over a warp in the order of operators/_arrays.py: bit for bit what NumPy gives.
//
// Compiled without contraction to fused multiply-adds (--fmad=false), for the same reason.
#pragma once

#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif

#define WARP 32
#define EVERY_LANE 0xffffffffu
#define MOST_MEMBERS (WARP * WARP * WARP)

__device__ __forceinline__ int lane() { return threadIdx.x % WARP; }

// Number of this warp in the grid's x direction; all lanes of a warp have the same.
__device__ __forceinline__ long long warp_number() {
    return ((long long)blockIdx.x * blockDim.x + threadIdx.x) / WARP;
}

__device__ __forceinline__ long long thread_number() {
    return (long long)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ double infinity() { return __longlong_as_double(0x7ff0000000000000LL); }

// As what is remembered is rounded: float32, no more than its greatest.
__device__ __forceinline__ float narrow(double x) {
    const double most = 3.4028234663852886e38;
    return float(x < most ? x : most);
}

__device__ __forceinline__ double larger(double a, double b) { return a > b ? a : b; }

// A tree of neighbouring pairs: lanes 0+1, 2+3, ... then pairs of pairs. Every lane gets the sum.
__device__ __forceinline__ double tree(double value) {
    for (int step = 1; step < WARP; step *= 2)
        value += __shfl_xor_sync(EVERY_LANE, value, step);
    return value;
}

__device__ __forceinline__ double warp_max(double value) {
    for (int step = 1; step < WARP; step *= 2)
        value = larger(value, __shfl_xor_sync(EVERY_LANE, value, step));
    return value;
}

// Sum of `get(0) ... get(count - 1)` as `fold_sum` does it, up to MOST_MEMBERS; all lanes take part.
template <class Get>
__device__ __forceinline__ double fold(int count, Get get) {
    double thousands = 0;
    for (int a = 0; a * WARP * WARP < count; ++a) {
        double tens = 0;
        for (int b = a * WARP; b < (a + 1) * WARP && b * WARP < count; ++b) {
            const int k = b * WARP + lane();
            const double sum = tree(k < count ? get(k) : 0.0);
            if (count <= WARP) return sum;
            if (lane() == b % WARP) tens = sum;
        }
        const double sum = tree(tens);
        if (count <= WARP * WARP) return sum;
        if (lane() == a) thousands = sum;
    }
    return tree(thousands);
}

// How many of `get(0) ... get(count - 1)` hold; all lanes take part.
template <class Get>
__device__ __forceinline__ int count_of(int count, Get get) {
    int found = 0;
    for (int base = 0; base < count; base += WARP) {
        const int k = base + lane();
        found += __popc(__ballot_sync(EVERY_LANE, k < count && get(k)));
    }
    return found;
}

// Largest of `get(0) ... get(count - 1)`, at least `least`; all lanes take part.
template <class Get>
__device__ __forceinline__ double most_of(int count, double least, Get get) {
    double found = least;
    for (int k = lane(); k < count; k += WARP) found = larger(found, get(k));
    return warp_max(found);
}
