#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "data/hdf5_detail.hpp"
#include "data/hdf5_file.hpp"

namespace crosstile::data {

namespace {

using hdf5::Context;
using hdf5::Handle;
using Dimensions = std::vector<hsize_t>;

// Deflate cannot shrink data more than 1032 times, so a header that promises more than this is lying.
constexpr std::uint64_t kMostCompression = 1040;

constexpr std::uint64_t kTooMuch = std::numeric_limits<std::uint64_t>::max();

std::uint64_t product_or_too_much(std::uint64_t a, std::uint64_t b) {
  return b != 0 && a > kTooMuch / b ? kTooMuch : a * b;
}

bool is_number(hid_t type) {
  const H5T_class_t kind = H5Tget_class(type);
  return kind == H5T_FLOAT || kind == H5T_INTEGER;
}

Handle open_file(const Context& context) {
  const Handle access(context.check(H5Pcreate(H5P_FILE_ACCESS), "cannot make a property list"), H5Pclose);
  context.check(H5Pset_file_locking(access, false, true), "cannot set file locking");
  return {context.check(H5Fopen(context.path.c_str(), H5F_ACC_RDONLY, access), "cannot be opened as HDF5"),
          H5Fclose};
}

// An open data set whose size has been checked against what the file can hold.
class OpenSet {
 public:
  OpenSet(const Context& context, hid_t file, const std::string& name) : context_(context), name_(name) {
    const hid_t id = H5Dopen2(file, name.c_str(), H5P_DEFAULT);
    if (id < 0) context.fail("data set \"" + name + "\" is missing");
    set_ = Handle(id, H5Dclose);
    type_ = Handle(check(H5Dget_type(set_)), H5Tclose);
    const Handle space(check(H5Dget_space(set_)), H5Sclose);
    if (H5Sget_simple_extent_type(space) == H5S_NULL) fail("holds nothing");
    dimensions_.resize(static_cast<std::size_t>(check(H5Sget_simple_extent_ndims(space))));
    if (!dimensions_.empty()) check(H5Sget_simple_extent_dims(space, dimensions_.data(), nullptr));
    check_size();
  }

  const Dimensions& dimensions() const { return dimensions_; }
  hid_t type() const { return type_; }
  Index size(std::size_t dimension) const { return static_cast<Index>(dimensions_[dimension]); }

  void require_numbers(std::size_t rank) const {
    if (dimensions_.size() != rank)
      fail("has " + std::to_string(dimensions_.size()) + " dimensions, " + std::to_string(rank) +
           " expected");
    if (!is_number(type_)) fail("does not hold numbers");
  }

  void read(hid_t memory_type, void* out) const {
    if (elements_ == 0) return;
    check(H5Dread(set_, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out));
  }

  template <typename Values>
  void read_finite(Values& out) const {
    read(H5T_NATIVE_DOUBLE, out.data());
    if (!out.allFinite()) fail("has values that are not finite");
  }

  [[noreturn]] void fail(const std::string& what) const {
    context_.fail("data set \"" + name_ + "\" " + what);
  }

 private:
  template <typename Result>
  Result check(Result result) const {
    return context_.check(result, "data set \"" + name_ + "\" cannot be read");
  }

  void check_size() {
    const Handle creation(check(H5Dget_create_plist(set_)), H5Pclose);
    const H5D_layout_t layout = H5Pget_layout(creation);
    if (layout == H5D_VIRTUAL || H5Pget_external_count(creation) != 0)
      fail("refers to other files, which is not allowed");
    const bool filtered = layout == H5D_CHUNKED && H5Pget_nfilters(creation) > 0;
    std::uint64_t wanted = H5Tget_size(type_);
    elements_ = 1;
    for (const hsize_t size : dimensions_) {
      elements_ = product_or_too_much(elements_, size);
      wanted = product_or_too_much(wanted, size);
    }
    const std::uint64_t stored = H5Dget_storage_size(set_);
    const std::uint64_t limit = product_or_too_much(stored, filtered ? kMostCompression : 1);
    if (stored > std::filesystem::file_size(context_.path) || wanted > limit)
      fail("claims " + std::to_string(wanted) + " bytes, more than the file holds");
  }

  const Context& context_;
  std::string name_;
  Handle set_;
  Handle type_;
  Dimensions dimensions_;
  std::uint64_t elements_ = 0;
};

// Room for a text of a file's own type.
std::string fixed_text_buffer(const Context& context, const std::string& name, hid_t type) {
  if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0)
    context.fail("\"" + name + "\" is not a fixed-length text");
  return std::string(H5Tget_size(type), '\0');
}

void strip_padding(std::string& text) {
  text.resize(std::min(text.size(), text.find('\0')));
}

Handle open_scalar_attribute(const Context& context, hid_t file, const std::string& name) {
  const hid_t id = H5Aexists(file, name.c_str()) > 0 ? H5Aopen(file, name.c_str(), H5P_DEFAULT) : -1;
  if (id < 0) context.fail("attribute \"" + name + "\" is missing");
  Handle attribute(id, H5Aclose);
  const Handle space(context.check(H5Aget_space(attribute), "attribute \"" + name + "\" cannot be read"),
                     H5Sclose);
  if (H5Sget_simple_extent_npoints(space) != 1)
    context.fail("attribute \"" + name + "\" is not a single value");
  return attribute;
}

double read_number(const Context& context, hid_t file, const std::string& name) {
  const Handle attribute = open_scalar_attribute(context, file, name);
  const Handle type(context.check(H5Aget_type(attribute), "attribute \"" + name + "\" cannot be read"),
                    H5Tclose);
  if (!is_number(type)) context.fail("attribute \"" + name + "\" is not a number");
  double value = 0.0;
  context.check(H5Aread(attribute, H5T_NATIVE_DOUBLE, &value), "attribute \"" + name + "\" cannot be read");
  if (!std::isfinite(value)) context.fail("attribute \"" + name + "\" is not finite");
  return value;
}

// A short text is an attribute of the root group, a long one a data set with one element.
std::string read_long_text(const Context& context, hid_t file, const std::string& name) {
  const OpenSet set(context, file, name);
  if (set.dimensions() != Dimensions{1}) set.fail("is not a single text");
  std::string text = fixed_text_buffer(context, name, set.type());
  set.read(set.type(), text.data());
  strip_padding(text);
  return text;
}

std::string read_any_text(const Context& context, hid_t file, const std::string& name) {
  if (H5Aexists(file, name.c_str()) <= 0 && H5Lexists(file, name.c_str(), H5P_DEFAULT) > 0)
    return read_long_text(context, file, name);
  const Handle attribute = open_scalar_attribute(context, file, name);
  const Handle type(context.check(H5Aget_type(attribute), "attribute \"" + name + "\" cannot be read"),
                    H5Tclose);
  if (H5Tget_size(type) > std::filesystem::file_size(context.path))
    context.fail("attribute \"" + name + "\" claims more bytes than the file holds");
  std::string text = fixed_text_buffer(context, name, type);
  context.check(H5Aread(attribute, type, text.data()), "attribute \"" + name + "\" cannot be read");
  strip_padding(text);
  return text;
}

Matrix read_matrix(const OpenSet& set) {
  set.require_numbers(2);
  Matrix value(set.size(0), set.size(1));
  set.read_finite(value);
  return value;
}

herr_t collect_matrix_name(hid_t file, const char* name, const H5O_info_t* info, void* names) {
  if (info->type != H5O_TYPE_DATASET) return 0;
  const Handle set(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose);
  const Handle space(set >= 0 ? H5Dget_space(set) : -1, H5Sclose);
  if (space >= 0 && H5Sget_simple_extent_ndims(space) == 2)
    static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

// The user block is not covered by its own hash, so what it says is compared with the content.
void require_agreement(const Context& context, hid_t file, const hdf5::Seal& seal) {
  if (read_any_text(context, file, "kind") != seal.kind ||
      read_number(context, file, "format_version") != seal.version)
    context.fail("damaged: user block and content disagree about kind or version");
}

std::string only_matrix_name(const Context& context, hid_t file) {
  std::vector<std::string> names;
  context.check(H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, collect_matrix_name, &names, H5O_INFO_BASIC),
                "cannot list the data sets");
  if (names.size() == 1) return names.front();
  if (names.empty()) context.fail("holds no two-dimensional data set");
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  context.fail("holds several two-dimensional data sets (" + list + "); choose one as " +
               context.path.filename().string() + ":" + names.front());
}

// A file of ours whose first bytes are damaged would otherwise pass for a foreign file without a hash.
void refuse_unsealed_own_file(const Context& context, hid_t file) {
  if (H5Aexists(file, "format_version") > 0 && H5Aexists(file, "software_version") > 0 &&
      H5Aexists(file, "complete") > 0)
    context.fail("damaged: a crosstile file without its user block");
}

}  // namespace

struct Hdf5Reader::Impl {
  Context context;
  int version = 0;
  Handle file;

  ~Impl() {
    const hdf5::LibraryLock lock;
    file = Handle();
  }
};

Hdf5Reader::Hdf5Reader(const std::filesystem::path& path, const std::string& kind, int max_version)
    : impl_(new Impl) {
  Context& context = impl_->context;
  context.path = path;
  const hdf5::Seal seal = hdf5::verify_seal(path);
  if (seal.kind != kind) context.fail("is a \"" + seal.kind + "\" file, a \"" + kind + "\" is expected");
  if (seal.version < 1 || seal.version > max_version)
    context.fail("format version " + std::to_string(seal.version) + "; this program reads versions 1 to " +
                 std::to_string(max_version));
  impl_->version = seal.version;
  const hdf5::LibraryLock lock;
  impl_->file = open_file(context);
  require_agreement(context, impl_->file, seal);
  if (read_number(context, impl_->file, "complete") != 1.0) context.fail("was not completed");
}

Hdf5Reader::~Hdf5Reader() = default;
Hdf5Reader::Hdf5Reader(Hdf5Reader&&) noexcept = default;

bool Hdf5Reader::has(const std::string& name) const {
  const hdf5::LibraryLock lock;
  return H5Aexists(impl_->file, name.c_str()) > 0 ||
         H5Oexists_by_name(impl_->file, name.c_str(), H5P_DEFAULT) > 0;
}

Matrix Hdf5Reader::matrix(const std::string& name) const {
  const hdf5::LibraryLock lock;
  return read_matrix(OpenSet(impl_->context, impl_->file, name));
}

std::vector<Matrix> Hdf5Reader::matrices(const std::string& name) const {
  const hdf5::LibraryLock lock;
  const OpenSet set(impl_->context, impl_->file, name);
  set.require_numbers(3);
  const Index planes = set.size(0);
  Matrix all(planes, set.size(1) * set.size(2));
  set.read_finite(all);
  std::vector<Matrix> value;
  for (Index k = 0; k < planes; ++k)
    value.emplace_back(Eigen::Map<const Matrix>(all.row(k).data(), set.size(1), set.size(2)));
  return value;
}

Vector Hdf5Reader::vector(const std::string& name) const {
  const hdf5::LibraryLock lock;
  const OpenSet set(impl_->context, impl_->file, name);
  set.require_numbers(1);
  Vector value(set.size(0));
  set.read_finite(value);
  return value;
}

IntMatrix Hdf5Reader::integers(const std::string& name) const {
  const hdf5::LibraryLock lock;
  const OpenSet set(impl_->context, impl_->file, name);
  set.require_numbers(2);
  if (H5Tget_class(set.type()) != H5T_INTEGER) set.fail("does not hold whole numbers");
  Eigen::Matrix<long long, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> wide(set.size(0), set.size(1));
  set.read(H5T_NATIVE_LLONG, wide.data());
  constexpr auto kLow = std::numeric_limits<int>::min();
  constexpr auto kHigh = std::numeric_limits<int>::max();
  if (((wide.array() < kLow) || (wide.array() > kHigh)).any()) set.fail("has numbers beyond 32 bits");
  return wide.cast<int>();
}

std::string Hdf5Reader::text(const std::string& name) const {
  const hdf5::LibraryLock lock;
  return read_any_text(impl_->context, impl_->file, name);
}

double Hdf5Reader::number(const std::string& name) const {
  const hdf5::LibraryLock lock;
  return read_number(impl_->context, impl_->file, name);
}

int Hdf5Reader::version() const {
  return impl_->version;
}

Matrix read_hdf5_matrix(const std::filesystem::path& path, const std::string& name) {
  std::optional<hdf5::Seal> seal;
  if (hdf5::is_sealed(path)) seal = hdf5::verify_seal(path);
  const Context context{path, ErrorKind::bad_data};
  const hdf5::LibraryLock lock;
  const Handle file = open_file(context);
  if (seal) {
    require_agreement(context, file, *seal);
  } else {
    refuse_unsealed_own_file(context, file);
  }
  return read_matrix(OpenSet(context, file, name.empty() ? only_matrix_name(context, file) : name));
}

}  // namespace crosstile::data
