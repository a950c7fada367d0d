import CHDF5
import Foundation

/// How a group leads to what is in it.
public enum HDF5Link: Hashable, Sendable {
  /// To an object of the file itself.
  case hard
  /// To whatever has this path in the file, or to nothing.
  case soft(target: String)
  /// Into another file; never followed.
  case external
  /// In a way that a program of its own has defined.
  case other
}

/// An open HDF5 file, closed when its owner goes. Datasets that outlive it keep the file open.
///
/// Only the root group is used: that is all that this project's formats need.
///
/// ```swift
/// let file = try HDF5File(reading: "train-00000.h5")
/// let labels = try file.dataset("labels").readAll(as: UInt8.self)
/// ```
public struct HDF5File: ~Copyable, Sendable, HDF5AttributeHolder {
  public let path: String
  /// Negative once it is closed.
  private var handle: Int64
  /// What was found out about the file before the library opened it; `nil` for files that are written.
  public let checked: CheckedFile?
  /// Where the rows of datasets lie, by names, as far as that was found too.
  private let rows: [String: StoredRows]

  private init(path: String, handle: Int64) {
    self.path = path
    self.handle = handle
    checked = nil
    rows = [:]
  }

  /// Whether a file is HDF5, behind a user block (of 512 bytes, 1024, …) too.
  ///
  /// Throws if it can't be read.
  public static func isHDF5(_ path: String) throws(HDF5Error) -> Bool {
    try ExaminedFile.requireRegularFile(path)
    do throws(StructureDamage) { return try StructureCheck.beginning(of: path) != nil } catch {
      throw HDF5Error(
        file: path, action: "cannot open", reason: error.reason,
        isInputOutput: error.isInputOutput)
    }
  }

  /// Opens an existing file for reading only, without a file lock.
  ///
  /// - Parameter known: what an earlier opening has found (``checked``): the same file is not walked through
  ///   again.
  ///
  /// Throws if there is no readable regular file of this name, if it isn't a whole HDF5 file, and if
  /// another program has it open for writing.
  public init(reading path: String, known: CheckedFile? = nil) throws(HDF5Error) {
    try self.init(opening: ExaminedFile(path, known: known))
  }

  /// Opens a file that was examined, likewise. One that has taken its name since is examined anew.
  public init(opening examined: ExaminedFile) throws(HDF5Error) {
    let file = examined.isStillThere ? examined : try ExaminedFile(examined.path)
    let path = file.path
    let handle = try Shim.check(file: path, action: "cannot open") {
      rfm_h5_open_file(path, $0, $1)
    }
    self.path = path
    self.handle = handle
    checked = file.checked
    rows = file.rows
  }

  /// Where the rows of a dataset lie, if they can be read past the library; `nil` too if the file was known
  /// already when it was opened.
  public func storedRows(of name: String) -> StoredRows? { rows[name] }

  /// Creates a file, replacing one of the same name.
  public static func create(_ path: String) throws(HDF5Error) -> HDF5File {
    let handle = try Shim.check(file: path, action: "cannot create") {
      rfm_h5_create_file(path, $0, $1)
    }
    return HDF5File(path: path, handle: handle)
  }

  deinit {
    if handle < 0 { return }
    var text: CChar = 0
    _ = rfm_h5_close_file(handle, &text, 1)
  }

  public var attributeHandle: Int64 { handle }
  public var filePath: String { path }
  public var datasetName: String? { nil }

  /// Hands everything written so far to the operating system. A dataset that goes does that too, but
  /// can't report what could not be written: call this before.
  public func flush() throws(HDF5Error) {
    try Shim.check(file: path, action: "cannot write") { rfm_h5_flush_file(handle, $0, $1) }
  }

  /// Closes the file and reports what could not be written. All its datasets should be gone.
  public consuming func close() throws(HDF5Error) {
    let (path, handle) = (path, handle)
    self.handle = -1
    try Shim.check(file: path, action: "cannot close") { rfm_h5_close_file(handle, $0, $1) }
  }

  /// Names of everything in the root group, sorted.
  public func names() throws(HDF5Error) -> [String] {
    try sortedNames(file: path, object: nil, action: "cannot list the contents") {
      rfm_h5_link_name(handle, $0, $1, $2, $3, $4)
    }
  }

  /// How the root group leads to what is in it by this name.
  public func link(_ name: String) throws(HDF5Error) -> HDF5Link {
    // Zero where the library writes nothing, and at the end of what it cuts.
    var target = [CChar](repeating: 0, count: 4096)
    let kind = try Shim.check(file: path, object: name, action: "cannot look up") { error, size in
      target.withUnsafeMutableBufferPointer {
        rfm_h5_link_kind(handle, name, $0.baseAddress!, $0.count - 1, error, size)
      }
    }
    switch rfm_h5_link(UInt32(kind)) {
    case RFM_H5_HARD_LINK: return .hard
    case RFM_H5_SOFT_LINK:
      let bytes = target.prefix { $0 != 0 }.map { UInt8(truncatingIfNeeded: $0) }
      return .soft(target: String(decoding: bytes, as: UTF8.self))
    case RFM_H5_EXTERNAL_LINK: return .external
    default: return .other
    }
  }

  /// Whether the root group has a dataset of this name.
  public func hasDataset(_ name: String) throws(HDF5Error) -> Bool {
    try Shim.check(file: path, object: name, action: "cannot look up") {
      rfm_h5_has_dataset(handle, name, $0, $1)
    } == 1
  }

  /// Opens a dataset; throws if there is none of this name.
  ///
  /// - Parameter chunkCache: bytes of decoded chunks that the library keeps; `nil` for its own default
  ///   of 1 MiB. With 0, part of a chunk that no filter has changed is read by itself.
  public func dataset(_ name: String, chunkCache: Int? = nil) throws(HDF5Error) -> HDF5Dataset {
    guard try hasDataset(name) else {
      throw HDF5Error(
        file: path, object: name, action: "cannot open",
        reason: "there is no such dataset" + (checked?.unfinished.map { "; \($0)" } ?? ""))
    }
    let dataset = try Shim.check(file: path, object: name, action: "cannot open") {
      rfm_h5_open_dataset(handle, name, chunkCache.map(UInt64.init) ?? .max, $0, $1)
    }
    return try HDF5Dataset(handle: dataset, filePath: path, name: name, base: checked?.base)
  }

  /// Creates a dataset of numbers.
  public func createDataset<T: HDF5Element>(
    _ name: String, of type: T.Type, shape: [Int], layout: HDF5Layout = .contiguous
  ) throws(HDF5Error) -> HDF5Dataset {
    var creation = rfm_h5_creation()
    creation.element = T.elementType.rawValue
    return try create(name, creation, shape: shape, layout: layout)
  }

  /// Creates a dataset of strings. Filters are left away for variable-length ones: HDF5 keeps the
  /// texts elsewhere in the file, where no filter reaches them.
  public func createDataset(
    _ name: String, of strings: HDF5StringType, shape: [Int], layout: HDF5Layout = .contiguous
  ) throws(HDF5Error) -> HDF5Dataset {
    var creation = rfm_h5_creation()
    creation.setStringType(strings)
    var layout = layout
    if strings.fixedLength == nil {
      layout.deflate = nil
      layout.shuffle = false
      layout.fletcher32 = false
    }
    return try create(name, creation, shape: shape, layout: layout)
  }

  private func create(
    _ name: String, _ type: rfm_h5_creation, shape: [Int], layout: HDF5Layout
  ) throws(HDF5Error) -> HDF5Dataset {
    precondition(
      shape.count <= 32 && shape.allSatisfy { $0 >= 0 }, "a shape has sizes of 0 or more")
    var creation = type
    creation.rank = Int32(shape.count)
    fill(&creation.shape, shape)
    creation.deflate_level = -1
    if let chunk = layout.chunk {
      precondition(
        chunk.count == shape.count && chunk.allSatisfy { $0 > 0 },
        "chunks have as many axes as the dataset, each of 1 or more")
      precondition(layout.deflate.map { (0...9).contains($0) } ?? true, "deflate levels are 0...9")
      creation.chunked = 1
      fill(&creation.chunk, chunk)
      creation.extendible = layout.isExtendible ? 1 : 0
      creation.deflate_level = Int32(layout.deflate ?? -1)
      creation.shuffle = layout.shuffle ? 1 : 0
      creation.fletcher32 = layout.fletcher32 ? 1 : 0
    }
    let dataset = try Shim.check(file: path, object: name, action: "cannot create") {
      rfm_h5_create_dataset(handle, name, &creation, $0, $1)
    }
    return try HDF5Dataset(handle: dataset, filePath: path, name: name)
  }

  /// Creates a dataset and writes all of it. `values` is row-major.
  public func write<T: HDF5Element>(
    _ name: String, _ values: [T], shape: [Int]? = nil, layout: HDF5Layout = .contiguous
  ) throws(HDF5Error) {
    let shape = shape ?? [values.count]
    precondition(product(shape) == values.count, "\(name) has as many values as its shape says")
    let dataset = try createDataset(name, of: T.self, shape: shape, layout: layout)
    try dataset.writeAll(values)
    try flush()
  }

  /// Creates a one-dimensional dataset of strings and writes all of it.
  public func write(
    _ name: String, _ strings: [String], type: HDF5StringType = .variable,
    layout: HDF5Layout = .contiguous
  ) throws(HDF5Error) {
    let dataset = try createDataset(name, of: type, shape: [strings.count], layout: layout)
    try dataset.writeStrings(strings)
    try flush()
  }
}
