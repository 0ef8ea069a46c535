// device: what a single memory cell is. Its conduction law (cell.hpp), and its statistics with their sources:
// programming noise, program-and-verify, stuck devices, drift and accumulated read noise (pcm.hpp), nanosecond read noise
// (nanosecond_noise.hpp, short_noise.hpp), random telegraph noise (telegraph.hpp); correlated noise with its closed forms
// (noise_spectrum.hpp) and as traces (noise_trace.hpp step by step, random_access_trace.hpp any window); the spectrum behind
// published numbers (spectrum_fit.hpp), and the way back from traces to statistics (noise_estimates.hpp, noise_statistics.hpp);
// weights to conductances (mapping.hpp); all of it as TOML (model_file.hpp).
// Equations and sources: docs/theory.md, "Device statistics".
#pragma once

#include "device/cell.hpp"
#include "device/mapping.hpp"
#include "device/model_file.hpp"
#include "device/nanosecond_noise.hpp"
#include "device/noise_estimates.hpp"
#include "device/noise_spectrum.hpp"
#include "device/noise_statistics.hpp"
#include "device/noise_trace.hpp"
#include "device/pcm.hpp"
#include "device/random_access_trace.hpp"
#include "device/short_noise.hpp"
#include "device/spectrum_fit.hpp"
#include "device/telegraph.hpp"
