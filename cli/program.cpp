#include "cli/program.hpp"

#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <system_error>

#include "cli/text_table.hpp"
#include "core/files.hpp"

namespace crosstile::cli {

namespace {

// Bytes of the UTF-8 character at `at`; 0 when there is none.
std::size_t utf8_length(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0U; };
  const unsigned first = byte(at);
  const std::size_t length = first < 0x80                    ? 1
                             : first >= 0xC2 && first < 0xE0 ? 2
                             : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xF0 && first < 0xF5 ? 4
                                                             : 0;
  for (std::size_t k = 1; k < length; ++k)
    if ((byte(at + k) & 0xC0U) != 0x80U) return 0;
  return length;
}

// Messages quote files: a damaged or hostile one must not send control characters to a terminal.
std::string printable(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    const auto code = static_cast<unsigned char>(text[at]);
    const bool control = (code < 0x20 && code != '\n' && code != '\t') || code == 0x7F;
    if (length == 0 || control)
      out += fmt::format("\\x{:02X}", code);
    else
      out.append(text, at, length);
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

}  // namespace

void Program::say(const std::string& text) {
  if (json) return;
  if (display_) display_->clear();
  fmt::print("{}\n", printable(text));
}

void Program::say(const validation::Table& table) {
  std::string text = to_text(table);
  text.pop_back();
  say(text);
}

void Program::note(const std::string& text) {
  if (quiet) return;
  if (display_) display_->clear();
  std::fflush(stdout);  // notes stand where they belong among the lines of stdout
  fmt::print(stderr, "crosstile: note: {}\n", printable(text));
}

Progress Program::progress() {
  if (!display_) display_.emplace(ProgressDisplay::mode_for(quiet));
  return display_->callback();
}

int Program::run() {
  try {
    action();
    return finish(0);
  } catch (const Error& error) {
    std::string message = error.what();
    if (error.kind() == ErrorKind::interrupted)
      message += resume_hint.empty() ? "; nothing was written" : "; " + resume_hint;
    return fail(error.kind(), message);
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::not_converged, "not enough memory for this problem");
  } catch (const std::system_error& error) {  // std::filesystem::filesystem_error among them
    return fail(ErrorKind::io, error.what());
  } catch (const std::exception& error) {
    return fail(ErrorKind::not_converged, fmt::format("internal error, please report it: {}", error.what()));
  }
}

int Program::fail(ErrorKind kind, const std::string& what) {
  const std::string message = printable(what);
  if (display_) display_->clear();
  std::fflush(stdout);
  fmt::print(stderr, "crosstile: error: {}\n", message);
  const int code = static_cast<int>(kind);
  result["error"] = {{"kind", kind_name(kind)}, {"exit_code", code}, {"message", message}};
  return finish(code);
}

int Program::finish(int exit_code) {
  display_.reset();
  if (json) fmt::print("{}\n", result.dump(2, ' ', false, Json::error_handler_t::replace));
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    fmt::print(stderr, "crosstile: error: cannot write to standard output: {}\n", std::strerror(errno));
    return exit_code == 0 ? static_cast<int>(ErrorKind::io) : exit_code;
  }
  return exit_code;
}

std::string kind_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::check_failed:
      return "check_failed";
    case ErrorKind::usage:
      return "usage";
    case ErrorKind::bad_data:
      return "bad_data";
    case ErrorKind::not_converged:
      return "not_converged";
    case ErrorKind::io:
      return "io";
    case ErrorKind::interrupted:
      return "interrupted";
  }
  return "?";
}

Json table_json(const validation::Table& table) {
  return Json::parse(validation::to_json(table));
}

void require_writable_file(const std::filesystem::path& file) {
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  std::error_code status;
  if (!std::filesystem::is_directory(folder, status))
    throw Error(ErrorKind::io,
                "cannot write " + file.string() + ": the folder " + folder.string() + " does not exist");
  if (file.filename().empty() || std::filesystem::is_directory(file, status))
    throw Error(ErrorKind::io, "cannot write " + file.string() + ": it is a folder");
  try {
    require_writable_folder(folder);
  } catch (const Error& error) {
    throw Error(ErrorKind::io, "cannot write " + file.string() + ": " + error.what());
  }
}

}  // namespace crosstile::cli
