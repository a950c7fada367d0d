/// Why a file's structure can't be right.
struct StructureDamage: Error {
  var reason: String
  /// Whether the operating system refused to read it.
  var isInputOutput = false
}

/// Takes the fields of a structure of the file one after another, and notices when they end too early.
/// Numbers are little-endian.
struct FieldReader {
  private let bytes: ArraySlice<UInt8>
  private var place: Int
  /// Where in the file the first byte lies.
  private let origin: Int

  /// - Parameter origin: where in the file the bytes lie.
  init(_ bytes: [UInt8], origin: Int) {
    self.bytes = bytes[...]
    place = 0
    self.origin = origin
  }

  private init(_ bytes: ArraySlice<UInt8>, origin: Int) {
    self.bytes = bytes
    place = bytes.startIndex
    self.origin = origin
  }

  /// Bytes that are left.
  var left: Int { bytes.endIndex - place }
  /// What is left.
  var remainder: [UInt8] { Array(bytes[place...]) }
  /// Where in the file the next byte lies.
  var position: Int { origin + place }

  private func require(_ count: Int) throws(StructureDamage) {
    guard count <= left else { throw StructureDamage(reason: "it ends too early") }
  }

  mutating func skip(_ count: Int) throws(StructureDamage) {
    try require(count)
    place += count
  }

  /// A number of up to 8 bytes.
  mutating func number(_ width: Int) throws(StructureDamage) -> UInt64 {
    try require(width)
    defer { place += width }
    if width == 8 {
      // Most of what trees of thousands of chunks hold.
      let offset = place - bytes.startIndex
      return bytes.withUnsafeBytes {
        UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      }
    }
    var number: UInt64 = 0
    for index in 0..<width { number |= UInt64(bytes[place + index]) << UInt64(8 * index) }
    return number
  }

  /// A number of up to 4 bytes.
  mutating func integer(_ width: Int) throws(StructureDamage) -> Int { Int(try number(width)) }

  /// An address or a length.
  mutating func word() throws(StructureDamage) -> UInt64 { try number(8) }

  /// The next bytes as a structure of their own.
  mutating func part(_ count: Int) throws(StructureDamage) -> FieldReader {
    try require(count)
    defer { place += count }
    return FieldReader(bytes[place..<place + count], origin: origin)
  }

  /// Passes over a text that ends in NUL; with `padded`, it fills a multiple of 8 bytes.
  mutating func skipText(padded: Bool) throws(StructureDamage) {
    guard let end = bytes[place...].firstIndex(of: 0) else {
      throw StructureDamage(reason: "a name does not end")
    }
    let length = end - place + 1
    try skip(padded ? (length + 7) / 8 * 8 : length)
  }

  mutating func expect(_ signature: String) throws(StructureDamage) {
    try require(signature.utf8.count)
    guard bytes[place...].starts(with: signature.utf8) else {
      throw StructureDamage(reason: "there is no \(signature)")
    }
    place += signature.utf8.count
  }
}
