import Foundations

/// A tensor with the name it is published under.
public struct NamedTensor: Sendable, Equatable {
  public var name: String
  /// Extents, outermost first; none for a single number.
  public var shape: [Int]
  /// The values in row-major order: as many as the product of `shape`.
  public var values: [Float]

  public init(name: String, shape: [Int], values: [Float]) {
    self.name = name
    self.shape = shape
    self.values = values
  }
}

/// Reading and writing of safetensors files: eight bytes with the length of a JSON header
/// (little-endian), the header, and the tensors' bytes without gaps. Nothing in such a file can
/// execute code, and nothing outside the file is ever read.
///
/// Format: <https://github.com/huggingface/safetensors>.
public enum Safetensors {
  /// A header may have at most this many bytes. The largest published checkpoints stay far below.
  public static let maximumHeaderBytes = FileKind.largestSafetensorsHeader

  /// Reads all tensors of floating-point types (F32, F16, BF16, F64), converted to Float and
  /// sorted by name. Tensors of other types (the counter `num_batches_tracked`) are left out.
  ///
  /// - Parameter maximumBytes: refuses a file whose tensors would need more memory than this.
  /// - Throws: ``TensorFileError`` for a file that is damaged, `FileError` for one that can't
  ///   be read.
  public static func read(_ path: String, maximumBytes: Int = 4 << 30) throws -> [NamedTensor] {
    try SafetensorsFile(opening: path).readAll(maximumBytes: maximumBytes)
  }

  /// Writes `tensors` as F32, sorted by name: the same tensors always give the same bytes, which
  /// are also those that the Python package writes. See `DurableFile` for what a failure leaves.
  ///
  /// - Parameter metadata: texts to keep with the tensors.
  /// - Throws: ``TensorFileError`` for a name used twice, `FileError`.
  public static func write(
    _ tensors: [NamedTensor], metadata: [String: String] = [:], to path: String
  ) throws {
    let sorted = tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    var header = "{"
    if !metadata.isEmpty {
      let texts = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        .map { "\(quoted($0.key)):\(quoted($0.value))" }
      header += "\"__metadata__\":{\(texts.joined(separator: ","))}"
    }
    var offset = 0
    var previous: String?
    for tensor in sorted {
      precondition(
        tensor.shape.allSatisfy { $0 >= 0 } && tensor.shape.reduce(1, *) == tensor.values.count,
        "\(tensor.name) has \(tensor.values.count) values, which do not fill \(tensor.shape)")
      guard tensor.name != "__metadata__", tensor.name != previous else {
        throw TensorFileError(
          path: path, tensor: tensor.name, problem: "can't be written: the name is taken")
      }
      previous = tensor.name
      let end = offset + tensor.values.count * MemoryLayout<Float>.stride
      if header.utf8.count > 1 { header += "," }
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      header += "\(quoted(tensor.name)):{\"dtype\":\"F32\",\"shape\":[\(shape)],"
      header += "\"data_offsets\":[\(offset),\(end)]}"
      offset = end
    }
    header += "}"
    // Spaces bring the first tensor to a multiple of eight bytes.
    header += String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
    guard header.utf8.count <= maximumHeaderBytes else {
      throw TensorFileError(path: path, tensor: nil, problem: "would need too long a header")
    }

    try DurableFile.write(to: path) { file in
      var length = UInt64(header.utf8.count).littleEndian
      try withUnsafeBytes(of: &length) { try file.write($0) }
      try header.withUTF8 { try file.write(UnsafeRawBufferPointer($0)) }
      for tensor in sorted {
        #if _endian(big)
          let words = tensor.values.map { $0.bitPattern.littleEndian }
          try words.withUnsafeBytes { try file.write($0) }
        #else
          try tensor.values.withUnsafeBytes { try file.write($0) }
        #endif
      }
    }
  }

  /// `text` as a JSON string. Only what must be escaped is, as the Python package does it.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{8}": result += "\\b"
      case "\u{c}": result += "\\f"
      case let control where control.value < 0x20:
        let digits = String(control.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// A safetensors file whose header has been read and checked: every tensor lies inside the file,
/// none overlaps another, and every extent agrees with the number of bytes.
public struct SafetensorsFile: ~Copyable {
  /// The types of the format, with the names they have in the header.
  public enum ElementType: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case u8 = "U8"
    case i8 = "I8"
    case u16 = "U16"
    case i16 = "I16"
    case u32 = "U32"
    case i32 = "I32"
    case u64 = "U64"
    case i64 = "I64"
    case f8e4m3 = "F8_E4M3"
    case f8e5m2 = "F8_E5M2"
    case f16 = "F16"
    case bf16 = "BF16"
    case f32 = "F32"
    case f64 = "F64"

    /// Bytes of one element.
    public var size: Int {
      switch self {
      case .bool, .u8, .i8, .f8e4m3, .f8e5m2: 1
      case .u16, .i16, .f16, .bf16: 2
      case .u32, .i32, .f32: 4
      case .u64, .i64, .f64: 8
      }
    }

    /// Whether ``SafetensorsFile/read(_:)`` can turn it into Float.
    public var isFloatingPoint: Bool {
      switch self {
      case .f16, .bf16, .f32, .f64: true
      default: false
      }
    }
  }

  /// What the header says about one tensor.
  public struct Entry: Sendable, Equatable {
    public let name: String
    public let type: ElementType
    public let shape: [Int]
    /// Where its bytes lie, counted from the end of the header.
    public let bytes: Range<Int>

    /// Number of elements.
    public var count: Int { bytes.count / type.size }
  }

  public let path: String
  /// The tensors, sorted by name.
  public let entries: [Entry]
  /// The texts kept with the tensors.
  public let metadata: [String: String]

  private let reader: FileReader
  private let dataStart: Int

  /// Opens the file and checks its header.
  /// - Throws: ``TensorFileError``, `FileError`.
  public init(opening path: String) throws {
    func failure(_ problem: String, tensor: String? = nil) -> TensorFileError {
      TensorFileError(path: path, tensor: tensor, problem: problem)
    }
    let reader = try FileReader(opening: path)
    guard reader.size >= 8 else {
      throw failure("is not a safetensors file: it has only \(reader.size) bytes")
    }
    let beginning = try FileKind.beginning(of: reader)
    if !FileKind.isSafetensors(beginning),
      let kind = FileKind(beginning: beginning, size: reader.size)
    {
      throw failure("is not a safetensors file: it is \(kind.description)")
    }
    var lengthField = UInt64(0)
    _ = try withUnsafeMutableBytes(of: &lengthField) { try reader.read(into: $0, at: 0) }
    let length = UInt64(littleEndian: lengthField)
    guard length >= 2, length <= UInt64(Safetensors.maximumHeaderBytes) else {
      throw failure(
        "is not a safetensors file: its header would have \(length) bytes, not between 2 and "
          + "\(Safetensors.maximumHeaderBytes)")
    }
    let start = 8 + Int(length)
    guard start <= reader.size else {
      throw failure(
        "is truncated: its header ends at byte \(start), but the file has \(reader.size) bytes: the "
          + "download or copy was cut off")
    }
    var header = [UInt8](repeating: 0, count: Int(length))
    let count = try header.withUnsafeMutableBytes { try reader.read(into: $0, at: 8) }
    guard count == header.count else { throw failure("became shorter while it was read") }

    let parsed: (entries: [Entry], metadata: [String: String])
    do {
      parsed = try header.withUnsafeBufferPointer { bytes in
        var parser = SafetensorsHeaderParser(bytes: bytes)
        return try parser.parse()
      }
    } catch let error as SafetensorsHeaderParser.Problem {
      throw failure(error.text, tensor: error.tensor)
    }

    // Tensors must fill the rest of the file without gaps or overlaps, as the format demands: what
    // is left over is either lost data or hidden data.
    let available = reader.size - start
    let wanted = parsed.entries.map(\.bytes.upperBound).max() ?? 0
    guard wanted <= available else {
      let end = wanted > Int.max - start ? Int.max : start + wanted
      let first = parsed.entries.filter { $0.bytes.upperBound > available }
        .min { ($0.bytes.lowerBound, $0.name) < ($1.bytes.lowerBound, $1.name) }!
      throw failure(
        "is truncated: its tensors end at byte \(end), but the file has \(reader.size) bytes (tensor "
          + "'\(printable(first.name))' is not whole): the download or copy was cut off")
    }
    var end = 0
    for entry in parsed.entries.sorted(by: {
      ($0.bytes.lowerBound, $0.bytes.upperBound) < ($1.bytes.lowerBound, $1.bytes.upperBound)
    }) {
      guard entry.bytes.lowerBound >= end else {
        throw failure("overlaps another tensor", tensor: entry.name)
      }
      guard entry.bytes.lowerBound == end else {
        throw failure(
          "begins at byte \(entry.bytes.lowerBound) of the data, but the one before it ends at "
            + "\(end)", tensor: entry.name)
      }
      end = entry.bytes.upperBound
    }
    guard end == available else {
      throw failure("has \(available - end) bytes after its last tensor: it is damaged")
    }

    self.path = path
    self.entries = parsed.entries.sorted {
      $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
    }
    self.metadata = parsed.metadata
    self.reader = reader
    self.dataStart = start
  }

  /// Reads all tensors of floating-point types; see ``Safetensors/read(_:maximumBytes:)``.
  public borrowing func readAll(maximumBytes: Int) throws -> [NamedTensor] {
    var total = 0
    for entry in entries where entry.type.isFloatingPoint {
      total += entry.count * MemoryLayout<Float>.stride
      guard total <= maximumBytes else {
        throw TensorFileError(
          path: path, tensor: nil,
          problem: "holds more than \(maximumBytes >> 20) MiB of tensors, too much for a detector")
      }
    }
    var tensors: [NamedTensor] = []
    for entry in entries where entry.type.isFloatingPoint { tensors.append(try read(entry)) }
    return tensors
  }

  /// Reads one tensor of a floating-point type.
  /// - Throws: ``TensorFileError`` for another type, `FileError`.
  public borrowing func read(_ entry: Entry) throws -> NamedTensor {
    let values: [Float]
    switch entry.type {
    case .f32:
      values = try elements(entry, as: UInt32.self) { Float(bitPattern: UInt32(littleEndian: $0)) }
    case .bf16:
      values = try elements(entry, as: UInt16.self) {
        Float(bitPattern: UInt32(UInt16(littleEndian: $0)) << 16)
      }
    case .f16:
      values = try elements(entry, as: UInt16.self) { halfToFloat(UInt16(littleEndian: $0)) }
    case .f64:
      values = try elements(entry, as: UInt64.self) {
        Float(Double(bitPattern: UInt64(littleEndian: $0)))
      }
    default:
      throw TensorFileError(
        path: path, tensor: entry.name,
        problem: "has the type \(entry.type.rawValue), not a floating-point one")
    }
    return NamedTensor(name: entry.name, shape: entry.shape, values: values)
  }

  /// Reads one tensor of an integer type; U64 must fit Int64.
  /// - Throws: ``TensorFileError`` for another type or a number too large, `FileError`.
  public borrowing func readIntegers(_ entry: Entry) throws -> [Int64] {
    switch entry.type {
    case .bool, .u8: return try elements(entry, as: UInt8.self) { Int64($0) }
    case .i8: return try elements(entry, as: Int8.self) { Int64($0) }
    case .u16: return try elements(entry, as: UInt16.self) { Int64(UInt16(littleEndian: $0)) }
    case .i16: return try elements(entry, as: Int16.self) { Int64(Int16(littleEndian: $0)) }
    case .u32: return try elements(entry, as: UInt32.self) { Int64(UInt32(littleEndian: $0)) }
    case .i32: return try elements(entry, as: Int32.self) { Int64(Int32(littleEndian: $0)) }
    case .i64: return try elements(entry, as: Int64.self) { Int64(littleEndian: $0) }
    case .u64:
      let path = path
      return try elements(entry, as: UInt64.self) {
        guard let number = Int64(exactly: UInt64(littleEndian: $0)) else {
          throw TensorFileError(
            path: path, tensor: entry.name, problem: "holds an integer that is too large")
        }
        return number
      }
    default:
      throw TensorFileError(
        path: path, tensor: entry.name,
        problem: "has the type \(entry.type.rawValue), not an integer one")
    }
  }

  /// Streams the tensor's bytes through a bounded buffer and converts them. Not mapped into
  /// memory: a file that shrinks meanwhile must give an error, not a signal.
  private borrowing func elements<Stored, Value>(
    _ entry: Entry, as type: Stored.Type, convert: (Stored) throws -> Value
  ) throws -> [Value] {
    precondition(
      MemoryLayout<Stored>.stride == entry.type.size,
      "\(entry.type.rawValue) has elements of \(entry.type.size) bytes")
    let count = entry.count
    var values: [Value] = []
    values.reserveCapacity(count)
    let chunk = Swift.min(count, 1 << 18)
    let buffer = UnsafeMutableBufferPointer<Stored>.allocate(capacity: chunk)
    defer { buffer.deallocate() }
    var done = 0
    while done < count {
      let part = Swift.min(chunk, count - done)
      let bytes = UnsafeMutableRawBufferPointer(
        start: buffer.baseAddress, count: part * MemoryLayout<Stored>.stride)
      let offset = dataStart + entry.bytes.lowerBound + done * MemoryLayout<Stored>.stride
      guard try reader.read(into: bytes, at: offset) == bytes.count else {
        throw TensorFileError(
          path: path, tensor: entry.name, problem: "became shorter while it was read")
      }
      for index in 0..<part { values.append(try convert(buffer[index])) }
      done += part
    }
    return values
  }
}

/// The value of an IEEE 754 half-precision number. In integers, because Float16 is not everywhere.
func halfToFloat(_ bits: UInt16) -> Float {
  let sign = UInt32(bits & 0x8000) << 16
  let exponent = UInt32(bits >> 10) & 0x1f
  let fraction = UInt32(bits & 0x3ff)
  switch exponent {
  case 0:
    // Zero and subnormal numbers: fraction × 2⁻²⁴, exact in Float.
    let magnitude = Float(fraction) * 0x1p-24
    return sign == 0 ? magnitude : -magnitude
  case 31:
    return Float(bitPattern: sign | 0x7f80_0000 | fraction << 13)
  default:
    return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }
}
