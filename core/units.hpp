// Literals that turn scaled units into the SI units used everywhere inside the library: 20.0_uS == 20e-6.
#pragma once

namespace crosstile::units {

constexpr double operator""_S(long double v) { return static_cast<double>(v); }
constexpr double operator""_uS(long double v) { return static_cast<double>(v * 1e-6L); }
constexpr double operator""_nS(long double v) { return static_cast<double>(v * 1e-9L); }
constexpr double operator""_ohm(long double v) { return static_cast<double>(v); }
constexpr double operator""_kohm(long double v) { return static_cast<double>(v * 1e3L); }
constexpr double operator""_V(long double v) { return static_cast<double>(v); }
constexpr double operator""_mV(long double v) { return static_cast<double>(v * 1e-3L); }
constexpr double operator""_s(long double v) { return static_cast<double>(v); }
constexpr double operator""_us(long double v) { return static_cast<double>(v * 1e-6L); }
constexpr double operator""_ns(long double v) { return static_cast<double>(v * 1e-9L); }
constexpr double operator""_ps(long double v) { return static_cast<double>(v * 1e-12L); }
constexpr double operator""_pF(long double v) { return static_cast<double>(v * 1e-12L); }
constexpr double operator""_fF(long double v) { return static_cast<double>(v * 1e-15L); }
constexpr double operator""_pC(long double v) { return static_cast<double>(v * 1e-12L); }
constexpr double operator""_fC(long double v) { return static_cast<double>(v * 1e-15L); }
constexpr double operator""_GHz(long double v) { return static_cast<double>(v * 1e9L); }

}  // namespace crosstile::units
