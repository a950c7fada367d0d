import Foundations

/// Where the bytes of a storage are: in the file, or inflated in memory.
struct StoredBytes {
  /// Bytes of the storage.
  let count: Int
  fileprivate let start: Int
  fileprivate let inflated: [UInt8]?
  /// Requires the checksum of all bytes to be right; nil where there is none to compare with.
  fileprivate let check: ((Checksum) throws -> Void)?

  /// A range of the file.
  init(_ range: Range<Int>) {
    count = range.count
    start = range.lowerBound
    inflated = nil
    check = nil
  }

  /// - Throws: `ZipArchive.Problem`, `FileError`.
  init(_ entry: ZipArchive.Entry, of archive: ZipArchive) throws {
    count = entry.size
    start = entry.stored.lowerBound
    if entry.isDeflated {
      inflated = try archive.bytes(of: entry, limit: 1 << 32)
      check = nil
    } else {
      inflated = nil
      check = archive.hasChecksums ? { try archive.require($0, of: entry) } : nil
    }
  }
}

/// Reads tensors from where their storages lie, each checked once.
final class StorageReader {
  private let file: OpenFile
  private let storages: [PickledStorage]
  private let locate: (PickledStorage) throws -> StoredBytes
  private var places: [[UInt8]: StoredBytes] = [:]
  private var checked: Set<[UInt8]> = []
  private let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)

  init(
    file: OpenFile, storages: [PickledStorage],
    locate: @escaping (PickledStorage) throws -> StoredBytes
  ) {
    self.file = file
    self.storages = storages
    self.locate = locate
  }

  deinit { piece.deallocate() }

  /// The values of a tensor of a floating-point type, in row-major order.
  /// - Throws: `ZipArchive.Problem`, `PickleMachine.Problem`, ``TensorFileError``, `FileError`.
  func values(of tensor: PickledTensor) throws -> [Float] {
    let storage = storages[tensor.storage]
    let key = Array(storage.key.utf8)
    let place = try places[key] ?? locate(storage)
    places[key] = place
    guard place.count == storage.wholeCount * storage.type.size else {
      throw PickleMachine.Problem(
        text: "is damaged: the storage '\(printable(storage.key))' has \(place.count) bytes, where "
          + "\(storage.wholeCount) numbers of \(storage.type.name) were announced")
    }
    let size = tensor.type.size
    let span = tensor.span.lowerBound * size..<tensor.span.upperBound * size
    let needsCheck = place.check != nil && !checked.contains(key)
    let isWhole = span.count == place.count && tensor.isContiguous
    var checksum = Checksum()
    if needsCheck, !isWhole {
      try stream(0..<place.count, of: place) { bytes, _ in checksum.update(bytes) }
    }
    let values: [Float]
    if !tensor.isContiguous {
      values = try gather(tensor, from: bytes(span, of: place))
    } else if tensor.type.kind == .float32, place.inflated == nil, Self.isLittleEndian {
      values = try .init(unsafeUninitializedCapacity: tensor.count) { buffer, count in
        let bytes = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: span.count)
        try file.read(into: bytes, at: place.start + span.lowerBound)
        if needsCheck, isWhole { checksum.update(.init(bytes)) }
        count = tensor.count
      }
    } else {
      values = try .init(unsafeUninitializedCapacity: tensor.count) { buffer, count in
        let target = buffer.baseAddress
        try stream(span, of: place) { bytes, offset in
          if needsCheck, isWhole { checksum.update(bytes) }
          guard let target, let source = bytes.baseAddress else { return }
          Self.convert(
            tensor.type.kind, source, by: size, count: bytes.count / size,
            to: target + offset / size)
        }
        count = tensor.count
      }
    }
    if needsCheck {
      try place.check?(checksum)
      checked.insert(key)
    }
    return values
  }

  // MARK: Bytes

  /// Gives the bytes of a range of a storage piece by piece, with where they begin in the range.
  private func stream(
    _ range: Range<Int>, of place: StoredBytes,
    _ body: (UnsafeRawBufferPointer, Int) throws -> Void
  ) throws {
    if let inflated = place.inflated {
      return try inflated.withUnsafeBytes { try body(.init(rebasing: $0[range]), 0) }
    }
    var done = 0
    while done < range.count {
      let part = UnsafeMutableRawBufferPointer(
        rebasing: piece[..<min(piece.count, range.count - done)])
      try file.read(into: part, at: place.start + range.lowerBound + done)
      try body(.init(part), done)
      done += part.count
    }
  }

  private func bytes(_ range: Range<Int>, of place: StoredBytes) throws -> [UInt8] {
    if let inflated = place.inflated { return Array(inflated[range]) }
    return try file.bytes(place.start + range.lowerBound..<place.start + range.upperBound)
  }

  // MARK: Numbers

  private static var isLittleEndian: Bool { 1.littleEndian == 1 }

  /// Converts `count` numbers that lie `stride` bytes apart. Rounded to nearest, as PyTorch's
  /// `float()` does.
  private static func convert(
    _ kind: TorchType.Kind, _ source: UnsafeRawPointer, by stride: Int, count: Int,
    to target: UnsafeMutablePointer<Float>
  ) {
    @inline(__always) func each<Stored>(_: Stored.Type, _ convert: (Stored) -> Float) {
      for place in 0..<count {
        (target + place).initialize(
          to: convert((source + place * stride).loadUnaligned(as: Stored.self)))
      }
    }
    switch kind {
    case .float32: each(UInt32.self) { Float(bitPattern: UInt32(littleEndian: $0)) }
    case .float64: each(UInt64.self) { Float(Double(bitPattern: UInt64(littleEndian: $0))) }
    case .float16: each(UInt16.self) { halfToFloat(UInt16(littleEndian: $0)) }
    case .bfloat16:
      each(UInt16.self) { Float(bitPattern: UInt32(UInt16(littleEndian: $0)) << 16) }
    case .whole, .other: preconditionFailure("only floating-point tensors are read")
    }
  }

  /// The values of a tensor with any strides.
  /// - Parameter bytes: its span of the storage.
  private func gather(_ tensor: PickledTensor, from bytes: [UInt8]) -> [Float] {
    let size = tensor.type.size
    let length = tensor.shape.last ?? 1
    let step = tensor.strides.last ?? 1
    let outer = Array(zip(tensor.shape, tensor.strides).dropLast())
    return [Float](unsafeUninitializedCapacity: tensor.count) { buffer, count in
      bytes.withUnsafeBytes { source in
        var index = [Int](repeating: 0, count: outer.count)
        var element = 0
        while count < tensor.count {
          Self.convert(
            tensor.type.kind, source.baseAddress! + element * size, by: step * size, count: length,
            to: buffer.baseAddress! + count)
          count += length
          // The next row: the last axis that is not at its end goes on, those after it begin anew.
          for axis in outer.indices.reversed() {
            index[axis] += 1
            element += outer[axis].1
            if index[axis] < outer[axis].0 { break }
            element -= outer[axis].0 * outer[axis].1
            index[axis] = 0
          }
        }
      }
    }
  }
}
