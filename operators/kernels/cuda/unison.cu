// Do channels swing together: amplitudes at one frequency in some stretches of a window, their
// coherence matrix by its small twin (stretch, stretch), the greatest eigenvalue, each channel's part.
//
// Complex numbers lie as (..., 2). There are at most WARP stretches.
#include "warp.cuh"

#define STEPS 36

// Hann-weighted Fourier sum of each stretch about its mean: a warp for each channel and stretch.
// `turns` are full circles a sample: angles in units of pi need no long division by it.
extern "C" __global__ void snapshots(const double* x_w, double* z, double turns, int channels,
                                     int n_time, int stretches) {
    const long long i = warp_number();
    if (i >= (long long)channels * stretches) return;
    const int length = n_time / stretches, from = int(i % stretches) * length;
    const double* x = x_w + i / stretches * n_time + n_time - length * stretches + from;
    const double mean_w = fold(length, [&](int k) { return x[k]; }) / length;
    const auto weighed = [&](int k) {
        return (x[k] - mean_w) * (1 - cospi(2 * (k + 0.5) / length));
    };
    const double real = fold(
        length, [&](int k) { return weighed(k) * cospi(2 * turns * (from + k)); });
    const double imag = fold(
        length, [&](int k) { return weighed(k) * sinpi(2 * turns * (from + k)); });
    if (lane() != 0) return;
    const double scale = 2.0 / length;
    z[2 * i] = real * scale;
    z[2 * i + 1] = -imag * scale;
}

// Every channel to unit power: a warp each.
extern "C" __global__ void unit_rows(const double* z, double* unit, int channels, int stretches) {
    const long long channel = warp_number();
    if (channel >= channels) return;
    const double* row = z + 2 * channel * stretches;
    const double size2 = fold(stretches, [&](int k) {
        return row[2 * k] * row[2 * k] + row[2 * k + 1] * row[2 * k + 1];
    }) / stretches;
    const double scale = size2 > 0 ? 1 / sqrt(size2) : 0.0;
    for (int k = lane(); k < 2 * stretches; k += WARP)
        unit[2 * channel * stretches + k] = row[k] * scale;
}

// Gram matrix (stretch, stretch, 2) over the channels: a warp for each of its places.
extern "C" __global__ void gram(const double* unit, double* matrix, int channels, int stretches) {
    const long long place = warp_number();
    if (place >= (long long)stretches * stretches) return;
    const double* a = unit + 2 * (place / stretches);
    const double* b = unit + 2 * (place % stretches);
    const auto products = [&](int of_a, int of_b) {
        return fold(channels, [&](int n) {
            const long long row = 2LL * n * stretches;
            return a[row + of_a] * b[row + of_b];
        }) / stretches;
    };
    const double real = products(0, 0) + products(1, 1);
    const double imag = products(0, 1) - products(1, 0);
    if (lane() != 0) return;
    matrix[2 * place] = real;
    matrix[2 * place + 1] = imag;
}

// Power iteration by one warp, a lane for each stretch: eigenvalue, then its vector (stretch, 2).
extern "C" __global__ void leading_vector(const double* matrix, double* value, double* vector,
                                          int stretches) {
    if (warp_number() > 0) return;
    const int me = lane();
    const bool mine = me < stretches;
    double real = mine ? 1.0 + 0.1 * (double(me) / stretches) : 0.0;
    double imag = mine ? 0.05 * (double(me) / stretches) : 0.0;
    double norm = 1;
    for (int step = 0; step < STEPS; ++step) {
        double new_real = 0, new_imag = 0;
        for (int row = 0; row < stretches; ++row) {
            const double* g = matrix + 2 * ((long long)row * stretches + (mine ? me : 0));
            const double sum_real = tree(mine ? g[0] * real - g[1] * imag : 0.0);
            const double sum_imag = tree(mine ? g[0] * imag + g[1] * real : 0.0);
            if (me == row) new_real = sum_real, new_imag = sum_imag;
        }
        norm = sqrt(tree(new_real * new_real + new_imag * new_imag));
        real = new_real / (norm > 0 ? norm : 1.0);
        imag = new_imag / (norm > 0 ? norm : 1.0);
    }
    if (me == 0) value[0] = norm;
    if (!mine) return;
    vector[2 * me] = real;
    vector[2 * me + 1] = imag;
}

// Each channel in the common motion: |v|^2, not yet a share, and phase. A warp each.
extern "C" __global__ void channel_parts(const double* unit, const double* vector, double* weight,
                                         double* phase_rad, int channels, int stretches) {
    const long long channel = warp_number();
    if (channel >= channels) return;
    const double* z = unit + 2 * channel * stretches;
    const double real = fold(
        stretches, [&](int k) { return z[2 * k] * vector[2 * k] - z[2 * k + 1] * vector[2 * k + 1]; });
    const double imag = fold(
        stretches, [&](int k) { return z[2 * k] * vector[2 * k + 1] + z[2 * k + 1] * vector[2 * k]; });
    if (lane() != 0) return;
    weight[channel] = real * real + imag * imag;
    phase_rad[channel] = atan2(imag, real);
}

// Weights to shares of their sum: one warp.
extern "C" __global__ void shares(const double* weight, double* share, int channels) {
    if (warp_number() > 0) return;
    const double total = fold(channels, [&](int n) { return weight[n]; });
    for (int n = lane(); n < channels; n += WARP)
        share[n] = weight[n] / (total > 0 ? total : 1.0);
}
