/// The type of a file's elements, as its structure says, checked for what the library relies on.
///
/// Source: HDF5 File Format Specification, section IV.A.2.d "The Datatype Message".
struct ElementType {
  /// Bytes of an element.
  let bytes: Int
  /// Whether an element refers to a text in a heap.
  let isVariableString: Bool

  /// Types within types that are followed.
  private static let depthLimit = 8

  init(_ fields: inout FieldReader) throws(StructureDamage) {
    try self.init(&fields, depth: 0)
  }

  private init(_ fields: inout FieldReader, depth: Int) throws(StructureDamage) {
    let head = try fields.integer(1)
    let (version, kind) = (head >> 4, head & 15)
    let flags = try fields.integer(3)
    let bytes = try fields.integer(4)
    guard (1...4).contains(version), bytes > 0, depth < Self.depthLimit else {
      throw StructureDamage(
        reason: "a type is of version \(version), \(bytes) bytes, \(depth) others around it")
    }
    func require(_ isSo: Bool, _ reason: String) throws(StructureDamage) {
      guard isSo else { throw StructureDamage(reason: "a type \(reason)") }
    }
    self.bytes = bytes
    isVariableString = kind == 9 && flags & 15 == 1
    switch kind {
    case 0, 4:
      let offset = try fields.integer(2)
      let precision = try fields.integer(2)
      try require(
        precision > 0 && bytes <= 64 && offset + precision <= bytes * 8,
        "has \(precision) bits in \(bytes) bytes")
    case 1: try Self.floatingPoint(&fields, flags: flags, bytes: bytes)
    case 2: try fields.skip(2)
    case 3: break
    case 5:
      try require(flags & 0xFF % 8 == 0, "has a tag of \(flags & 0xFF) bytes")
      try fields.skip(flags & 0xFF)
    case 6:
      let count = flags & 0xFFFF
      try require(count > 0, "has no members")
      for _ in 0..<count {
        try fields.skipText(padded: version < 3)
        let offset = try fields.integer(
          version < 3 ? 4 : (bytes.bitWidth - bytes.leadingZeroBitCount + 7) / 8)
        if version == 1 { try fields.skip(28) }
        let member = try ElementType(&fields, depth: depth + 1)
        try require(offset + member.bytes <= bytes, "has a member outside of it")
      }
    case 7: try require(bytes == 8 || bytes == 12, "is a reference of \(bytes) bytes")
    case 8:
      let count = flags & 0xFFFF
      let base = try ElementType(&fields, depth: depth + 1)
      try require(base.bytes == bytes, "lists values of another size")
      for _ in 0..<count { try fields.skipText(padded: version < 3) }
      try fields.skip(count * bytes)
    case 9:
      _ = try ElementType(&fields, depth: depth + 1)
      try require(bytes == 16 && flags & 15 < 2, "is a reference to a heap of \(bytes) bytes")
    case 10:
      let axes = try fields.integer(1)
      try require((1...32).contains(axes), "is an array of \(axes) axes")
      if version < 3 { try fields.skip(3) }
      var sizes: [UInt64] = []
      for _ in 0..<axes { sizes.append(try fields.number(4)) }
      if version < 3 { try fields.skip(4 * axes) }
      let base = try ElementType(&fields, depth: depth + 1)
      try require(
        product(sizes + [UInt64(base.bytes)]) == UInt64(bytes), "is an array of another size")
    default: try require(false, "is of class \(kind)")
    }
  }

  private static func floatingPoint(
    _ fields: inout FieldReader, flags: Int, bytes: Int
  ) throws(StructureDamage) {
    let offset = try fields.integer(2)
    let precision = try fields.integer(2)
    let exponent = try fields.integer(1)
    let exponentBits = try fields.integer(1)
    let mantissa = try fields.integer(1)
    let mantissaBits = try fields.integer(1)
    try fields.skip(4)
    // Fields one above the other, the sign wherever else; exponents go through 64-bit numbers.
    let isApart = exponent + exponentBits <= mantissa || mantissa + mantissaBits <= exponent
    guard bytes <= 16, precision > 0, offset + precision <= bytes * 8,
      (1...32).contains(exponentBits), mantissaBits > 0, isApart,
      max(exponent + exponentBits, mantissa + mantissaBits) <= offset + precision,
      flags >> 8 & 0xFF < offset + precision
    else { throw StructureDamage(reason: "a floating-point type's fields do not fit into it") }
  }
}
