#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <set>
#include <variant>

#include "core/files.hpp"
#include "core/version.hpp"
#include "data/hdf5_detail.hpp"
#include "data/hdf5_file.hpp"

namespace crosstile::data {

namespace {

using hdf5::Context;
using hdf5::Handle;
using Dimensions = std::vector<hsize_t>;

constexpr hsize_t kChunkBytes = hsize_t{1} << 20;
constexpr hsize_t kCompressFromBytes = hsize_t{1} << 16;
constexpr unsigned kDeflateLevel = 4;
constexpr std::size_t kLongestAttribute = 16384;  // HDF5's object headers end at 64 KiB

struct DataSet {
  std::string name;
  std::string unit;
  Dimensions dimensions;
  std::variant<std::vector<double>, std::vector<int>> values;
};

struct Attribute {
  std::string name;
  std::variant<std::string, double> value;
};

hsize_t element_count(const Dimensions& dimensions) {
  hsize_t count = 1;
  for (const hsize_t size : dimensions) count *= size;
  return count;
}

// Whole rows (or planes) as far as they fit into kChunkBytes.
Dimensions chunk_of(const Dimensions& dimensions, hsize_t element_bytes) {
  Dimensions chunk = dimensions;
  for (std::size_t d = 0; d < chunk.size(); ++d) {
    const hsize_t slice = std::max<hsize_t>(1, element_count(chunk) / chunk[d]) * element_bytes;
    chunk[d] = std::clamp<hsize_t>(kChunkBytes / slice, 1, chunk[d]);
  }
  return chunk;
}

Handle text_type(const Context& context, std::size_t bytes) {
  Handle type(context.check(H5Tcopy(H5T_C_S1), "cannot make a text type"), H5Tclose);
  context.check(H5Tset_size(type, std::max<std::size_t>(1, bytes)), "cannot size a text type");
  context.check(H5Tset_strpad(type, H5T_STR_NULLPAD), "cannot pad a text type");
  context.check(H5Tset_cset(type, H5T_CSET_UTF8), "cannot set a text type to UTF-8");
  return type;
}

// Chunks and checksums for everything; an empty data set has no chunk and needs none.
Handle creation_list(const Context& context, const Dimensions& dimensions, hsize_t element_bytes) {
  Handle list(context.check(H5Pcreate(H5P_DATASET_CREATE), "cannot make a property list"), H5Pclose);
  context.check(H5Pset_obj_track_times(list, false), "cannot switch off times");
  const hsize_t count = element_count(dimensions);
  if (count == 0) return list;
  const Dimensions chunk = chunk_of(dimensions, element_bytes);
  context.check(H5Pset_chunk(list, static_cast<int>(chunk.size()), chunk.data()), "cannot set chunks");
  if (count * element_bytes >= kCompressFromBytes) {
    context.check(H5Pset_shuffle(list), "cannot set the shuffle filter");
    context.check(H5Pset_deflate(list, kDeflateLevel), "cannot set the deflate filter");
  }
  context.check(H5Pset_fletcher32(list), "cannot set checksums");
  return list;
}

// Memory that HDF5 fills as if it were a file. (H5Fget_file_image would do, but with libver v110 it returns a
// superblock with a wrong checksum.) The functions are called by C code, so they must not throw.
class MemoryFile {
 public:
  MemoryFile() = default;
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { std::free(bytes_); }

  H5FD_file_image_callbacks_t callbacks() {
    H5FD_file_image_callbacks_t table{};
    table.image_realloc = [](void*, std::size_t size, H5FD_file_image_op_t, void* self) {
      return static_cast<MemoryFile*>(self)->grow(size);
    };
    table.image_free = [](void*, H5FD_file_image_op_t, void*) { return herr_t{0}; };  // the destructor's task
    table.udata_copy = [](void* self) { return self; };
    table.udata_free = [](void*) { return herr_t{0}; };
    table.udata = this;
    return table;
  }
  std::string content(std::size_t size) const {
    std::string text(static_cast<const char*>(bytes_), std::min(size, capacity_));
    text.resize(size, '\0');
    return text;
  }

 private:
  void* grow(std::size_t size) {
    if (size <= capacity_) return bytes_;
    const std::size_t wanted = std::max(size, 2 * capacity_);
    void* moved = std::realloc(bytes_, wanted);
    if (moved == nullptr) return nullptr;
    std::memset(static_cast<char*>(moved) + capacity_, 0, wanted - capacity_);
    bytes_ = moved;
    capacity_ = wanted;
    return bytes_;
  }

  void* bytes_ = nullptr;
  std::size_t capacity_ = 0;
};

// Builds the file in memory: a library that meets a full disk half-way cannot be shut down cleanly any more
// (HDF5 1.10.8 crashes at exit), so the disk is left to one plain write of the finished bytes.
class ImageWriter {
 public:
  explicit ImageWriter(Context context) : context_(std::move(context)) {
    const Handle creation(context_.check(H5Pcreate(H5P_FILE_CREATE), "cannot make a property list"),
                          H5Pclose);
    context_.check(H5Pset_userblock(creation, hdf5::kUserBlockBytes), "cannot set the user block");
    context_.check(H5Pset_obj_track_times(creation, false), "cannot switch off times");
    const Handle access(context_.check(H5Pcreate(H5P_FILE_ACCESS), "cannot make a property list"), H5Pclose);
    context_.check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110),
                   "cannot set the format version");
    context_.check(H5Pset_fapl_core(access, 1, false), "cannot choose to build the file in memory");
    auto callbacks = memory_.callbacks();
    context_.check(H5Pset_file_image_callbacks(access, &callbacks), "cannot choose the memory of the file");
    file_ =
        Handle(context_.check(H5Fcreate("image", H5F_ACC_TRUNC, creation, access), "cannot build the file"),
               H5Fclose);
  }

  void attribute(hid_t object, const Attribute& attribute) {
    if (const auto* text = std::get_if<std::string>(&attribute.value)) {
      put_attribute(object, attribute.name, text_type(context_, text->size()),
                    text->empty() ? "" : text->data());
    } else {
      const double number = std::get<double>(attribute.value);
      put_attribute(object, attribute.name,
                    Handle(context_.check(H5Tcopy(H5T_IEEE_F64LE), "cannot make a type"), H5Tclose), &number);
    }
  }
  void root_attribute(const Attribute& entry) {
    const auto* text = std::get_if<std::string>(&entry.value);
    if (text != nullptr && text->size() > kLongestAttribute) {
      put_data_set(entry.name, {1}, text_type(context_, text->size()), text->data())
          .close(context_, "cannot close " + entry.name);
    } else {
      attribute(file_, entry);
    }
  }

  void data_set(const DataSet& set) {
    const bool real = std::holds_alternative<std::vector<double>>(set.values);
    const Handle type(context_.check(H5Tcopy(real ? H5T_IEEE_F64LE : H5T_STD_I32LE), "cannot make a type"),
                      H5Tclose);
    const void* values =
        real ? static_cast<const void*>(std::get<0>(set.values).data()) : std::get<1>(set.values).data();
    Handle handle = put_data_set(set.name, set.dimensions, type, values);
    attribute(handle, {"unit", set.unit.empty() ? "1" : set.unit});
    handle.close(context_, "cannot close " + set.name);
  }

  // `complete` goes in when everything else is known to be there. Returns all bytes, the user block still
  // empty.
  std::string finish() {
    context_.check(H5Fflush(file_, H5F_SCOPE_GLOBAL), "cannot build the file");
    attribute(file_, {"complete", 1.0});
    context_.check(H5Fflush(file_, H5F_SCOPE_GLOBAL), "cannot build the file");
    hsize_t bytes = 0;
    context_.check(H5Fget_filesize(file_, &bytes), "cannot measure the file");
    file_.close(context_, "cannot close the file");
    return memory_.content(bytes);
  }

 private:
  void put_attribute(hid_t object, const std::string& name, const Handle& type, const void* value) {
    const Handle space(context_.check(H5Screate(H5S_SCALAR), "cannot make a data space"), H5Sclose);
    Handle handle(context_.check(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                                 "cannot create " + name),
                  H5Aclose);
    context_.check(H5Awrite(handle, type, value), "cannot write " + name);
    handle.close(context_, "cannot close " + name);
  }

  // Groups that HDF5 makes on the way to a data set would carry the time of day; these do not.
  void create_groups(const std::string& name) {
    for (std::size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
      const std::string group = name.substr(0, slash);
      if (!groups_.insert(group).second) continue;
      const Handle creation(context_.check(H5Pcreate(H5P_GROUP_CREATE), "cannot make a property list"), H5Pclose);
      context_.check(H5Pset_obj_track_times(creation, false), "cannot switch off times");
      Handle handle(context_.check(H5Gcreate2(file_, group.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT),
                                   "cannot create " + group),
                    H5Gclose);
      handle.close(context_, "cannot close " + group);
    }
  }

  Handle put_data_set(const std::string& name, const Dimensions& dimensions, const Handle& type,
                      const void* values) {
    create_groups(name);
    const Handle creation = creation_list(context_, dimensions, H5Tget_size(type));
    const Handle space(
        context_.check(H5Screate_simple(static_cast<int>(dimensions.size()), dimensions.data(), nullptr),
                       "cannot make a data space"),
        H5Sclose);
    Handle set(context_.check(H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT),
                              "cannot create " + name),
               H5Dclose);
    if (element_count(dimensions) > 0)
      context_.check(H5Dwrite(set, memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values),
                     "cannot write " + name);
    return set;
  }

  static hid_t memory_type(const Handle& type) {
    switch (H5Tget_class(type)) {
      case H5T_FLOAT:
        return H5T_NATIVE_DOUBLE;
      case H5T_INTEGER:
        return H5T_NATIVE_INT;
      default:
        return type;
    }
  }

  Context context_;
  std::set<std::string> groups_;
  MemoryFile memory_;  // outlives file_
  Handle file_;
};

Dimensions dimensions_of(std::initializer_list<Index> sizes) {
  Dimensions dimensions;
  for (const Index size : sizes) dimensions.push_back(static_cast<hsize_t>(size));
  return dimensions;
}

template <typename Values>
void require_finite(const std::string& name, const Values& value) {
  if (!value.allFinite())
    throw Error(ErrorKind::bad_data, name + ": not written, it has values that are not finite");
}

}  // namespace

struct Hdf5Writer::Impl {
  std::string kind;
  int version;
  std::vector<DataSet> sets;
  std::vector<Attribute> attributes;
};

Hdf5Writer::Hdf5Writer(std::string kind, int version) : impl_(new Impl{std::move(kind), version, {}, {}}) {}
Hdf5Writer::~Hdf5Writer() = default;
Hdf5Writer::Hdf5Writer(Hdf5Writer&&) noexcept = default;

void Hdf5Writer::matrix(const std::string& name, const Matrix& value, const std::string& unit) {
  require_finite(name, value);
  impl_->sets.push_back({name, unit, dimensions_of({value.rows(), value.cols()}),
                         std::vector<double>(value.data(), value.data() + value.size())});
}

void Hdf5Writer::matrices(const std::string& name, const std::vector<Matrix>& value,
                          const std::string& unit) {
  const Index rows = value.empty() ? 0 : value.front().rows();
  const Index cols = value.empty() ? 0 : value.front().cols();
  std::vector<double> all;
  all.reserve(value.size() * static_cast<std::size_t>(rows * cols));
  for (const Matrix& one : value) {
    if (one.rows() != rows || one.cols() != cols)
      throw Error(ErrorKind::bad_data, name + ": matrices of different shapes");
    require_finite(name, one);
    all.insert(all.end(), one.data(), one.data() + one.size());
  }
  impl_->sets.push_back(
      {name, unit, dimensions_of({static_cast<Index>(value.size()), rows, cols}), std::move(all)});
}

void Hdf5Writer::vector(const std::string& name, const Vector& value, const std::string& unit) {
  require_finite(name, value);
  impl_->sets.push_back({name, unit, dimensions_of({value.size()}),
                         std::vector<double>(value.data(), value.data() + value.size())});
}

void Hdf5Writer::integers(const std::string& name, const IntMatrix& value, const std::string& unit) {
  impl_->sets.push_back({name, unit, dimensions_of({value.rows(), value.cols()}),
                         std::vector<int>(value.data(), value.data() + value.size())});
}

void Hdf5Writer::text(const std::string& name, const std::string& value) {
  if (value.find('\0') != std::string::npos)
    throw Error(ErrorKind::bad_data, name + ": a text with a zero byte cannot be stored");
  impl_->attributes.push_back({name, value});
}

void Hdf5Writer::number(const std::string& name, double value) {
  if (!std::isfinite(value)) throw Error(ErrorKind::bad_data, name + ": not written, it is not finite");
  impl_->attributes.push_back({name, value});
}

void Hdf5Writer::write(const std::filesystem::path& path) const {
  const auto build = [&] {
    const hdf5::LibraryLock lock;
    ImageWriter file({path, ErrorKind::io});
    file.root_attribute({"kind", impl_->kind});
    file.root_attribute({"format_version", static_cast<double>(impl_->version)});
    file.root_attribute({"software_version", std::string(kVersion)});
    for (const auto& attribute : impl_->attributes) file.root_attribute(attribute);
    for (const auto& set : impl_->sets) file.data_set(set);
    return file.finish();
  };
  std::string image = build();
  hdf5::seal_image(image, impl_->kind, impl_->version);
  write_text_atomically(path, image);
}

}  // namespace crosstile::data
