// SIGINT and SIGTERM: the first asks the work to stop at the next safe point, a second one stops the program
// at once.
#pragma once

namespace crosstile::cli {

void install_signal_handlers();
/// True once a signal has arrived.
bool interrupted();

}  // namespace crosstile::cli
