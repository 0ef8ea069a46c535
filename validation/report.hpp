// The report: one self-contained HTML page of a folder of results, readable in light, dark and on paper.
#pragma once

#include <filesystem>

namespace crosstile::validation {

/// Writes report.html into a folder of results: of a run, a sweep, a study, a comparison. From the files it
/// finds there: manifest.json, results.json, the data of the pictures it draws (irdrop.h5, waveforms.h5,
/// comparison.h5, read_noise.h5, training.h5, accuracy.h5, sweep.h5 with published.csv beside it), and every
/// .svg and .png as it is. A part of a run whose file is absent is named as missing on the page. Every HDF5
/// file is checked (hash, format) before it is used. The pictures are drawn by matplotlib in a Python process:
/// the interpreter named by the environment variable CROSSTILE_PYTHON, else the first of python3 and
/// /usr/bin/python3 that has matplotlib and h5py. Atomic: an older page stays until the new one is complete.
/// Errors: usage when the folder holds none of these files; bad_data for a damaged file; io when no interpreter
/// fits (names the packages), when it fails, or when the page cannot be written.
void write_report(const std::filesystem::path& run_folder);

}  // namespace crosstile::validation
