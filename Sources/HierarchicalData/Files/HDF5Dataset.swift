import CHDF5
import Synchronization

/// How a new dataset is stored.
public struct HDF5Layout: Sendable {
  /// Sizes of a chunk along all axes; `nil` stores the dataset in one piece. What follows needs
  /// chunks.
  public var chunk: [Int]?
  /// Whether the first axis may grow.
  public var isExtendible: Bool
  /// Level of gzip compression, 0...9; `nil` for none.
  public var deflate: Int?
  /// Whether bytes of equal significance are stored together, which helps compressing wide numbers.
  public var shuffle: Bool
  /// Whether every chunk has a checksum that is verified when it is read.
  public var fletcher32: Bool

  public init(
    chunk: [Int], isExtendible: Bool = false, deflate: Int? = nil, shuffle: Bool = false,
    fletcher32: Bool = true
  ) {
    self.chunk = chunk
    self.isExtendible = isExtendible
    self.deflate = deflate
    self.shuffle = shuffle
    self.fletcher32 = fletcher32
  }

  private init() {
    chunk = nil
    isExtendible = false
    deflate = nil
    shuffle = false
    fletcher32 = false
  }

  /// In one piece, uncompressed, without checksum.
  public static let contiguous = HDF5Layout()
}

/// How an existing dataset is stored.
public struct HDF5Storage: Hashable, Sendable {
  public enum Layout: Int32, Sendable {
    case compact = 0
    case contiguous, chunked, virtual
  }
  public var layout: Layout
  /// Sizes of a chunk; empty unless `layout` is `chunked`.
  public var chunk: [Int]
  public var deflate: Int?
  public var shuffle: Bool
  public var fletcher32: Bool
  /// HDF5's numbers of filters other than these three.
  public var otherFilters: [Int]
  /// Those of `otherFilters` that this machine's library can't decode.
  public var missingFilters: [Int] {
    otherFilters.filter { rfm_h5_has_filter(Int32(clamping: $0)) == 0 }
  }
  /// Bytes that the data take in the file, compressed if they are; `nil` where they were not measured.
  public var storedBytes: Int?
}

extension HDF5Storage: CustomStringConvertible {
  /// As in "chunks of 1x256x256x3, gzip 4, checksums, 1.5 GiB".
  public var description: String {
    var parts: [String] = []
    switch layout {
    case .compact, .contiguous: parts.append("in one piece")
    case .chunked: parts.append("chunks of " + chunk.map { "\($0)" }.joined(separator: "x"))
    case .virtual: parts.append("virtual")
    }
    if let deflate { parts.append("gzip \(deflate)") }
    if shuffle { parts.append("shuffled") }
    for filter in otherFilters { parts.append(HDF5Filters.name(filter)) }
    parts.append(fletcher32 ? "checksums" : "no checksums")
    if let storedBytes { parts.append(Self.size(storedBytes)) }
    return parts.joined(separator: ", ")
  }

  static func size(_ bytes: Int) -> String {
    var value = Double(bytes)
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
      if value < 1024 {
        return unit == "bytes" ? "\(bytes) bytes" : "\((value * 10).rounded() / 10) \(unit)"
      }
      value /= 1024
    }
    return "\((value * 10).rounded() / 10) TiB"
  }
}

/// A dataset of an open file, closed with its last reference. Several threads may use one: the
/// library serves them one after another.
public final class HDF5Dataset: Sendable, HDF5AttributeHolder {
  /// The most memory that a read of everything takes unless it is told otherwise: a guard against
  /// files that declare more than anybody stored.
  public static let defaultLimit = 1 << 30

  public let filePath: String
  public let name: String
  public let type: HDF5Type
  private let handle: Int64
  /// Where the file's HDF5 part begins; `nil` for files that are written.
  private let base: Int?
  private let extent: Mutex<[Int]>

  /// Takes over `handle`.
  init(
    handle: Int64, filePath: String, name: String, base: Int? = nil
  ) throws(HDF5Error) {
    self.handle = handle
    self.base = base
    self.filePath = filePath
    self.name = name
    var d = rfm_h5_description()
    do throws(HDF5Error) {
      try Shim.check(file: filePath, object: name, action: "cannot open") {
        rfm_h5_describe_dataset(handle, &d, $0, $1)
      }
      guard let sizes = d.sizes else {
        throw HDF5Error(
          file: filePath, object: name, action: "cannot open",
          reason: d.rank < 0 ? "it is empty (a null dataspace)" : "an axis is impossibly long")
      }
      let found = HDF5Type(d)
      if case .enumeration(let numbers) = found {
        type = .enumeration(
          try HDF5Enumeration(of: handle, bits: numbers.bits, file: filePath, name: name))
      } else {
        type = found
      }
      extent = Mutex(sizes)
    } catch {
      var text: CChar = 0
      _ = rfm_h5_close_dataset(handle, &text, 1)
      throw error
    }
  }

  deinit {
    var text: CChar = 0
    _ = rfm_h5_close_dataset(handle, &text, 1)
  }

  public var attributeHandle: Int64 { handle }
  public var datasetName: String? { name }

  /// Sizes along the axes; empty for a scalar.
  public var shape: [Int] { extent.withLock { $0 } }

  /// Number of elements, or `nil` if that is no `Int`.
  public var count: Int? { product(shape) }

  private func check(
    _ action: @autoclosure () -> String, _ body: (UnsafeMutablePointer<CChar>, Int) -> Int32
  ) throws(HDF5Error) {
    try Shim.check(file: filePath, object: name, action: action(), body)
  }

  /// How the dataset is stored.
  ///
  /// - Parameter isMeasured: whether its bytes in the file are summed up, which takes the longer the more
  ///   chunks there are.
  public func storage(isMeasured: Bool = true) throws(HDF5Error) -> HDF5Storage {
    var s = rfm_h5_storage()
    try check("cannot describe") {
      rfm_h5_dataset_storage(handle, isMeasured ? 1 : 0, &s, $0, $1)
    }
    let filters = elements(of: s.filters, count: Int(s.filter_count), as: Int32.self)
    let layout = HDF5Storage.Layout(rawValue: s.layout) ?? .contiguous
    return HDF5Storage(
      layout: layout,
      chunk: layout == .chunked
        ? elements(of: s.chunk, count: shape.count, as: UInt64.self).map { Int(clamping: $0) } : [],
      deflate: s.deflate_level < 0 ? nil : Int(s.deflate_level), shuffle: filters.contains(2),
      fletcher32: filters.contains(3),
      otherFilters: filters.filter { !(1...3).contains($0) }.map(Int.init),
      storedBytes: isMeasured ? Int(clamping: s.stored_bytes) : nil)
  }

  /// How many chunks have ever been written; others read as zeros.
  public func writtenChunks() throws(HDF5Error) -> Int {
    var count: UInt64 = 0
    try check("cannot count the chunks") { rfm_h5_count_chunks(handle, &count, $0, $1) }
    return Int(clamping: count)
  }

  // MARK: Numbers

  /// The type in memory, as the shim numbers them. Bit fields become nothing but bit fields.
  private func memoryType<T: HDF5Element>(_: T.Type) throws(HDF5Error) -> Int32 {
    guard case .bitField(let bits) = type else { return T.elementType.rawValue }
    switch T.elementType {
    case .uint8 where bits <= 8: return Int32(RFM_H5_BITS8.rawValue)
    case .int64 where bits <= 64: return Int32(RFM_H5_BITS64.rawValue)
    default:
      throw HDF5Error(
        file: filePath, object: name, action: "cannot read numbers", reason: "it holds \(type)")
    }
  }

  /// Reads rows of the first axis, whole along all others, densely into the beginning of `buffer`.
  public func readRows<T: HDF5Element>(
    _ rows: Range<Int>, into buffer: UnsafeMutableBufferPointer<T>
  ) throws(HDF5Error) {
    let memoryType = try memoryType(T.self)
    try check("cannot read \(Self.name(rows))") {
      rfm_h5_read_rows(
        handle, memoryType, UInt64(rows.lowerBound), UInt64(rows.count),
        buffer.baseAddress, UInt64(buffer.count), $0, $1)
    }
  }

  /// Reads the box of `count` elements along each axis that begins at `start`.
  public func read<T: HDF5Element>(
    start: [Int], count: [Int], into buffer: UnsafeMutableBufferPointer<T>
  ) throws(HDF5Error) {
    requireBox(start, count)
    let (start, count) = (start.map(UInt64.init), count.map(UInt64.init))
    let memoryType = try memoryType(T.self)
    try check("cannot read \(count) at \(start)") {
      rfm_h5_read(
        handle, memoryType, start, count, buffer.baseAddress, UInt64(buffer.count), $0,
        $1)
    }
  }

  /// Reads everything, row-major. Throws if that needs more than `limit` bytes of memory.
  public func readAll<T: HDF5Element>(
    as: T.Type, limit: Int = defaultLimit
  ) throws(HDF5Error) -> [T] {
    let count = try boundedCount(elementSize: MemoryLayout<T>.stride, limit: limit)
    let memoryType = try memoryType(T.self)
    var failure: HDF5Error?
    let values = [T](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(HDF5Error) {
        try check("cannot read") {
          rfm_h5_read(
            handle, memoryType, nil, nil, buffer.baseAddress, UInt64(count), $0, $1)
        }
        initialized = count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return values
  }

  /// Writes `buffer` densely to rows of the first axis.
  public func writeRows<T: HDF5Element>(
    _ rows: Range<Int>, from buffer: UnsafeBufferPointer<T>
  ) throws(HDF5Error) {
    try check("cannot write \(Self.name(rows))") {
      rfm_h5_write_rows(
        handle, T.elementType.rawValue, UInt64(rows.lowerBound), UInt64(rows.count),
        buffer.baseAddress, UInt64(buffer.count), $0, $1)
    }
  }

  /// Writes the box of `count` elements along each axis that begins at `start`.
  public func write<T: HDF5Element>(
    start: [Int], count: [Int], from buffer: UnsafeBufferPointer<T>
  ) throws(HDF5Error) {
    requireBox(start, count)
    let (start, count) = (start.map(UInt64.init), count.map(UInt64.init))
    try check("cannot write \(count) at \(start)") {
      rfm_h5_write(
        handle, T.elementType.rawValue, start, count, buffer.baseAddress, UInt64(buffer.count), $0,
        $1)
    }
  }

  /// Writes everything, row-major.
  public func writeAll<T: HDF5Element>(_ values: [T]) throws(HDF5Error) {
    try check("cannot write") { error, size in
      values.withUnsafeBytes {
        rfm_h5_write(
          handle, T.elementType.rawValue, nil, nil, $0.baseAddress, UInt64(values.count), error,
          size)
      }
    }
  }

  /// Grows (or cuts) the first axis of an extendible dataset.
  public func extend(to rows: Int) throws(HDF5Error) {
    precondition(rows >= 0 && !shape.isEmpty, "a dataset with axes is extended to 0 or more rows")
    try check("cannot extend") { rfm_h5_extend_dataset(handle, UInt64(rows), $0, $1) }
    extent.withLock { $0[0] = rows }
  }

  // MARK: Strings

  /// Reads all strings of a scalar or one-dimensional dataset, of either kind. Throws if they need
  /// more than about `limit` bytes of memory.
  public func readStrings(limit: Int = defaultLimit) throws(HDF5Error) -> [String] {
    guard case .string(let string) = type else {
      throw HDF5Error(
        file: filePath, object: name, action: "cannot read strings", reason: "it holds \(type)")
    }
    guard shape.count <= 1 else {
      throw HDF5Error(
        file: filePath, object: name, action: "cannot read strings",
        reason: "its shape is \(shape), not one-dimensional")
    }
    // A Swift string takes 16 bytes beside its text, a pointer 8.
    let count = try boundedCount(elementSize: (string.fixedLength ?? 0) + 24, limit: limit)
    if string.fixedLength == nil, let base,
      let strings = try readReferencedStrings(count: count, limit: limit, base: base)
    {
      return strings
    }
    return try StringTransfer.read(
      string, count: count, file: filePath, object: name, action: "cannot read",
      fixed: { rfm_h5_read_fixed_strings(handle, 0, UInt64(count), $0, $1, $2, $3) },
      variable: {
        rfm_h5_read_variable_strings(handle, 0, $1, $0, UInt64(limit), $2, $3)
      })
  }

  /// Reads variable-length strings past the library, which in version 1.10 crashes on references that
  /// lead nowhere; `nil` where they don't lie in one piece, or not in a file that is only read.
  private func readReferencedStrings(
    count: Int, limit: Int, base: Int
  ) throws(HDF5Error) -> [String]? {
    var isPlain: Int32 = 0
    var offset: UInt64 = 0
    try check("cannot read") { rfm_h5_string_references(handle, &isPlain, &offset, $0, $1) }
    guard isPlain == 1 else { return nil }
    if offset == .max { return [String](repeating: "", count: count) }
    var strings = ReferencedStrings(limit: limit, base: UInt64(base)) {
      [handle, filePath, name] (offset, count) throws(HDF5Error) -> [UInt8] in
      var bytes = [UInt8](repeating: 0, count: count)
      let got = try Shim.check(file: filePath, object: name, action: "cannot read") {
        error, size in
        bytes.withUnsafeMutableBytes {
          rfm_h5_read_bytes(handle, offset, $0.baseAddress, UInt64(count), error, size)
        }
      }
      return Array(bytes.prefix(Int(got)))
    }
    do throws(ReferencedStrings.Damage) {
      return try strings.read(references: offset, count: count)
    } catch {
      throw HDF5Error(
        file: filePath, object: name, action: "cannot read", reason: error.reason)
    }
  }

  /// Writes strings to consecutive rows.
  public func writeStrings(_ strings: [String], at first: Int = 0) throws(HDF5Error) {
    guard case .string(let string) = type else {
      preconditionFailure("strings are written to a dataset of strings, \(name) holds \(type)")
    }
    let count = UInt64(strings.count)
    try StringTransfer.write(
      strings, as: string, file: filePath, object: name,
      fixed: { rfm_h5_write_fixed_strings(handle, UInt64(first), count, $0, $1, $2, $3) },
      variable: { rfm_h5_write_variable_strings(handle, UInt64(first), count, $0, $1, $2) })
  }

  // MARK: Checks

  private static func name(_ rows: Range<Int>) -> String {
    rows.count == 1 ? "row \(rows.lowerBound)" : "rows \(rows.lowerBound)..<\(rows.upperBound)"
  }

  private func requireBox(_ start: [Int], _ count: [Int]) {
    precondition(
      start.count == shape.count && count.count == shape.count
        && (start + count).allSatisfy { $0 >= 0 },
      "a box of \(name) has \(shape.count) starts and counts of 0 or more")
  }

  private func boundedCount(elementSize: Int, limit: Int) throws(HDF5Error) -> Int {
    guard let count, let bytes = product([count, elementSize]), bytes <= limit else {
      throw HDF5Error(
        file: filePath, object: name, action: "cannot read",
        reason: "it declares a shape of \(shape), more than the \(limit) bytes allowed for it")
    }
    return count
  }
}
