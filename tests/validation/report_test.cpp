#include "validation/report.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

#include "data/hdf5_file.hpp"
#include "tests/core/scratch.hpp"
#include "tests/validation/sample_run.hpp"

using namespace crosstile;
using namespace crosstile::validation;
using namespace crosstile::testing;

namespace {

/// Sets an environment variable for the life of the object.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ~Environment() {
    if (old_)
      ::setenv(name_, old_->c_str(), 1);
    else
      ::unsetenv(name_);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

std::filesystem::path fake_python(const ScratchFolder& scratch, const std::string& name,
                                  const std::string& body) {
  put_bytes(scratch / name, "#!/bin/sh\n" + body + "\n");
  std::filesystem::permissions(scratch / name, std::filesystem::perms::owner_all);
  return scratch / name;
}

bool has(const std::string& page, const std::string& part) {
  return page.find(part) != std::string::npos;
}

/// What follows each `mark` in the text, up to the first of the characters `ends` (at most 200 characters).
std::vector<std::string> all_after(const std::string& text, const std::string& mark,
                                   const std::string& ends) {
  std::vector<std::string> found;
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
    const std::string rest = text.substr(at + mark.size(), 200);
    found.push_back(rest.substr(0, rest.find_first_of(ends)));
  }
  return found;
}

void run_folder_with(const std::filesystem::path& folder, const Accuracy& accuracy) {
  std::filesystem::create_directories(folder);
  write_accuracy(folder / "accuracy.h5", accuracy);
}

}  // namespace

TEST_CASE("The page of a full run has every section, picture and table, and needs nothing from outside",
          "[identity]") {
  const ScratchFolder scratch;
  const auto folder = scratch / "run";
  fill_sample_run(folder);
  write_report(folder);
  const std::string page = get_bytes(folder / "report.html");

  for (const char* id :
       {"irdrop", "waveforms", "comparison", "read_noise", "training", "accuracy", "tables", "provenance"})
    CHECK(has(page, "<h2 id=\"" + std::string(id) + "\">"));
  CHECK_FALSE(has(page, "<h2 id=\"missing\">"));
  for (const char* file : {"irdrop.h5", "waveforms.h5", "comparison.h5", "read_noise.h5", "training.h5",
                           "accuracy.h5", "results.json"})
    CHECK(has(page, "Data: <code>" + std::string(file) + "</code> · Command: <code>crosstile "));
  CHECK(all_after(page, "<svg", ">").size() == 7);
  CHECK(all_after(page, "<figcaption>", "<").size() == 7);
  for (const char* text :
       {"headline label", "12.3 %", "loose table", "loose caption", "crosstile solve --energy", "1.25 × 10⁻⁷",
        "Error against the full circuit", "best linear map", "0.0.1-test", "preset = &quot;pcm-14nm&quot;",
        "tiles &lt;with&gt; wires"})
    CHECK(has(page, text));
  // what a run calls itself is text, not markup
  CHECK(has(page, "<h1>A &lt;b&gt;run&lt;/b&gt; &amp; its page</h1>"));
  CHECK(has(page, "<code>crosstile run &quot;a &amp; b.toml&quot;</code>"));

  for (const char* outside : {"http:", "https:", "<script", "<link", "@import", "src=\"//", "file:"})
    CHECK_FALSE(has(page, outside));
  for (const std::string& url : all_after(page, "url(", ")")) CHECK(url.substr(0, 1) == "#");
  for (const char* attribute : {"href=\"", "src=\""})
    for (const std::string& target : all_after(page, attribute, "\""))
      CHECK((target.substr(0, 1) == "#" || target.substr(0, 5) == "data:"));
  CHECK(has(page, "prefers-color-scheme: dark"));
  CHECK(has(page, "@media print"));

  const std::vector<std::string> ids = all_after(page, " id=\"", "\"");
  CHECK(ids.size() > 20);
  const std::set<std::string> unique(ids.begin(), ids.end());
  CHECK(unique.size() == ids.size());
  for (const std::string& target : all_after(page, "href=\"#", "\"")) CHECK(unique.count(target) == 1);
}

TEST_CASE("A page of the same files is the same page, and an incomplete run names what is missing",
          "[property]") {
  const ScratchFolder scratch;
  run_folder_with(scratch / "run", sample_accuracy());
  write_report(scratch / "run");
  const std::string page = get_bytes(scratch / "run/report.html");
  CHECK(has(page, "<h2 id=\"accuracy\">"));
  CHECK(has(page, "<h2 id=\"missing\">"));
  for (const char* file : {"irdrop.h5", "waveforms.h5", "comparison.h5", "read_noise.h5", "training.h5",
                           "results.json", "manifest.json"})
    CHECK(has(page, "(<code>" + std::string(file) + "</code>)"));
  CHECK_FALSE(has(page, "<h2 id=\"training\">"));
  write_report(scratch / "run");
  CHECK(get_bytes(scratch / "run/report.html") == page);
}

TEST_CASE(
    "Without a Python that has matplotlib and h5py the error names the packages, and nothing is written",
    "[error]") {
  const ScratchFolder scratch;
  run_folder_with(scratch / "run", sample_accuracy());
  const auto bare =
      fake_python(scratch, "bare", "echo \"ModuleNotFoundError: No module named 'h5py'\" >&2; exit 86");
  {
    const Environment chosen("CROSSTILE_PYTHON", bare.string());
    require_error(error_of([&] { write_report(scratch / "run"); }), ErrorKind::io,
                  {"No module named 'h5py'", "python3-matplotlib", "python3-h5py", "CROSSTILE_PYTHON"});
  }
  {
    const Environment chosen("CROSSTILE_PYTHON", (scratch / "no-such-python").string());
    require_error(error_of([&] { write_report(scratch / "run"); }), ErrorKind::io,
                  {"no-such-python", "cannot be started", "python3-h5py"});
  }
  CHECK_FALSE(std::filesystem::exists(scratch / "run/report.html"));
}

TEST_CASE("A python3 in PATH without the packages is passed over for /usr/bin/python3", "[property]") {
  const ScratchFolder scratch;
  run_folder_with(scratch / "run", sample_accuracy());
  std::filesystem::create_directories(scratch / "bin");
  const auto bare =
      fake_python(scratch, "bin/python3", "touch " + (scratch / "asked").string() + "; exit 86");
  const Environment none("CROSSTILE_PYTHON", "");
  const Environment path("PATH", (scratch / "bin").string() + ":/bin:/usr/bin");
  write_report(scratch / "run");
  CHECK(std::filesystem::exists(scratch / "asked"));
  CHECK(has(get_bytes(scratch / "run/report.html"), "<h2 id=\"accuracy\">"));
}

TEST_CASE("When Python fails the message carries its words, the old page stays, and no temporary is left",
          "[error]") {
  const ScratchFolder scratch;
  run_folder_with(scratch / "run", sample_accuracy());
  put_bytes(scratch / "run/report.html", "old page");
  const auto failing =
      fake_python(scratch, "failing", "echo half a page > \"$3\"; echo \"ValueError: broken\" >&2; exit 1");
  {
    const Environment chosen("CROSSTILE_PYTHON", failing.string());
    require_error(error_of([&] { write_report(scratch / "run"); }), ErrorKind::io,
                  {"status 1", "ValueError: broken"});
  }
  const auto silent = fake_python(scratch, "silent", "exit 0");
  {
    const Environment chosen("CROSSTILE_PYTHON", silent.string());
    require_error(error_of([&] { write_report(scratch / "run"); }), ErrorKind::io, {"made no page"});
  }
  CHECK(get_bytes(scratch / "run/report.html") == "old page");
  CHECK(std::distance(std::filesystem::directory_iterator(scratch / "run"), {}) == 2);
}

namespace {

// 2 x 2 settings, the first with two seeds, one without a result.
void fill_sample_sweep(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const auto column = [](std::initializer_list<double> values) {
    return Vector(Eigen::Map<const Vector>(values.begin(), static_cast<Index>(values.size())));
  };
  data::Hdf5Writer out("sweep", 1);
  out.text("title", "two by two");
  out.text("keys", "training.batch\nnetwork.activation\nseed");
  out.vector("axes/training.batch", column({8, 8, 8, 32, 32}), "as in the configuration");
  out.vector("axes/network.activation", column({0, 0, 1, 0, 1}), "place in the list");
  out.text("values of network.activation", "\"relu\"\n\"tanh\"");
  out.vector("axes/seed", column({1, 2, 1, 1, 1}), "as in the configuration");
  out.vector("ok/point", column({0, 1, 2, 3}), "index");
  out.vector("ok/accuracy", column({0.5, 0.6, 0.625, 0.75}), "1");
  out.write(folder / "sweep.h5");
  put_bytes(folder / "published.csv", "# somewhere\ntraining.batch,network.activation,accuracy\n8,relu,0.25\n8.0,tanh,\n");
  put_bytes(folder / "curve.svg", "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>");
  put_bytes(folder / "curve.csv", "1,2\n");
  Results results;
  results.title = "two by two";
  results.put(Table{"t", "sweep", {"a"}, {{"-"}, {1.0}}, "", "crosstile sweep s.toml --out d"});
  write_results(folder / "results.json", results);
}

}  // namespace

TEST_CASE("The page of a sweep has its map beside the published one, its command, and pictures that cannot run",
          "[identity]") {
  const ScratchFolder scratch;
  fill_sample_sweep(scratch / "s");
  // a study's own file under a name that a run gives to other content
  data::Hdf5Writer own("some-study", 3);
  own.vector("x", Vector::Ones(2), "1");
  own.write(scratch / "s/irdrop.h5");
  write_report(scratch / "s");
  const std::string page = get_bytes(scratch / "s/report.html");
  for (const char* text : {">55.0<", ">62.5<", ">75.0<", ">25.0<", "published", "url(#f1-", "<code>crosstile sweep s.toml --out d</code>",
                           "Data: <code>sweep.h5, published.csv</code> · Command: <code>crosstile sweep s.toml --out d</code>",
                           "<code>curve.svg</code><span class=\"source\">Data: <code>curve.csv</code>",
                           "src=\"data:image/svg+xml;base64,"})
    CHECK(has(page, text));
  CHECK_FALSE(has(page, "<script"));
  CHECK_FALSE(has(page, "id=\"missing\""));
  CHECK_FALSE(has(page, "IR-drop over the tile"));

  std::string bytes = get_bytes(scratch / "s/irdrop.h5");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  put_bytes(scratch / "s/irdrop.h5", bytes);
  require_error(error_of([&] { write_report(scratch / "s"); }), ErrorKind::bad_data, {"irdrop.h5"});
}

TEST_CASE("A report refuses folders with nothing to report and damaged files", "[error]") {
  const ScratchFolder scratch;
  require_error(error_of([&] { write_report(scratch / "absent"); }), ErrorKind::io,
                {"absent", "not a folder"});
  std::filesystem::create_directories(scratch / "empty");
  require_error(error_of([&] { write_report(scratch / "empty"); }), ErrorKind::usage,
                {"empty", "nothing to report"});

  const auto folder = scratch / "run";
  run_folder_with(folder, sample_accuracy());
  std::string bytes = get_bytes(folder / "accuracy.h5");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  put_bytes(folder / "accuracy.h5", bytes);
  require_error(error_of([&] { write_report(folder); }), ErrorKind::bad_data, {"accuracy.h5"});
  write_training(folder / "accuracy.h5", sample_training());
  require_error(error_of([&] { write_report(folder); }), ErrorKind::bad_data, {"accuracy.h5", "training"});
  CHECK_FALSE(std::filesystem::exists(folder / "report.html"));
}
