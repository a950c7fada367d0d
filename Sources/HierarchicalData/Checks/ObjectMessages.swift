/// What the messages of an object's header say, each checked by itself.
///
/// Version 1.10 of the library believes the sizes in most of them, and reads on behind the end of a
/// message that is shorter than it says.
///
/// Source: HDF5 File Format Specification, section IV.A.2 "Data Object Header Messages".
struct ObjectMessages {
  /// Addresses that lead nowhere.
  static let undefined = UInt64.max

  enum Layout {
    case compact(bytes: Int)
    case contiguous(address: UInt64, bytes: UInt64)
    /// `chunk`: elements along each axis, then the bytes of an element.
    case chunked(tree: UInt64, chunk: [UInt64])
    /// A version whose index carries checksums.
    case other
  }

  /// An attribute whose values are references to texts in heaps.
  struct References {
    var position: Int
    var count: Int
  }

  var sizes: [UInt64]?
  var type: ElementType?
  var layout: Layout?
  /// HDF5's numbers of the filters, in order.
  var filters: [Int] = []
  /// Headers of the objects that a group's links lead to.
  var objects: [UInt64] = []
  /// Whether a group has a link that names a path.
  var hasSoftLinks = false
  /// Trees and heaps of groups of the old kind.
  var groups: [(tree: UInt64, heap: UInt64)] = []
  /// Heaps of the names of files with external data.
  var nameHeaps: [UInt64] = []
  /// Headers of types that are stored by themselves.
  var committedTypes: [UInt64] = []
  /// Further blocks of the header: where and how long.
  var continuations: [(address: UInt64, bytes: UInt64)] = []
  var references: [References] = []

  /// Takes one message.
  mutating func read(
    type kind: Int, flags: Int, _ message: FieldReader
  ) throws(StructureDamage) {
    var fields = message
    if flags & 2 != 0 {
      try readShared(kind, &fields)
      return
    }
    switch kind {
    case 0x01: sizes = try Self.dataspace(&fields)
    case 0x02: try Self.linkInfo(&fields)
    case 0x03: type = try ElementType(&fields)
    case 0x04: try fields.skip(fields.integer(4))
    case 0x05: try Self.fillValue(&fields)
    case 0x06: try link(&fields)
    case 0x07: try externalFiles(&fields)
    case 0x08: layout = try Self.layout(&fields)
    case 0x0A: try Self.groupInfo(&fields)
    case 0x0B: filters = try Self.pipeline(&fields)
    case 0x0C: try attribute(fields)
    case 0x0D: try fields.skipText(padded: false)
    case 0x0E: try fields.skip(14)
    case 0x0F: try fields.skip(10)
    case 0x10: continuations.append((try fields.word(), try fields.word()))
    case 0x11: groups.append((try fields.word(), try fields.word()))
    case 0x12: try fields.skip(8)
    case 0x13: try fields.skip(7)
    case 0x14: throw StructureDamage(reason: "it was made for another file driver")
    case 0x15: try Self.attributeInfo(&fields)
    case 0x16: try fields.skip(5)
    default: break
    }
  }

  /// A type may be stored by itself, in an object of its own; nothing else is kept elsewhere.
  private mutating func readShared(_ kind: Int, _ fields: inout FieldReader) throws(StructureDamage)
  {
    guard kind == 0x03 else {
      throw StructureDamage(reason: "it shares a message of type \(kind)")
    }
    committedTypes.append(try Self.committedType(&fields))
  }

  private static func committedType(_ fields: inout FieldReader) throws(StructureDamage) -> UInt64 {
    let version = try fields.integer(1)
    let kind = try fields.integer(1)
    switch version {
    case 1: try fields.skip(6)
    case 2: break
    case 3 where kind == 2: break
    default: throw StructureDamage(reason: "it shares a type in an unknown way")
    }
    return try fields.word()
  }

  // MARK: Shapes

  private static func dataspace(_ fields: inout FieldReader) throws(StructureDamage) -> [UInt64] {
    let version = try fields.integer(1)
    let rank = try fields.integer(1)
    let flags = try fields.integer(1)
    guard (1...2).contains(version), rank <= 32 else {
      throw StructureDamage(reason: "its dataspace is of version \(version) and has \(rank) axes")
    }
    let kind = version == 1 ? 1 : try fields.integer(1)
    if version == 1 { try fields.skip(5) }
    // A null dataspace has no elements at all.
    if kind == 2 { return [0] }
    var sizes: [UInt64] = []
    for _ in 0..<rank { sizes.append(try fields.word()) }
    if flags & 1 != 0 {
      for size in sizes where try fields.word() < size {
        throw StructureDamage(reason: "an axis is longer than it may become")
      }
    }
    return sizes
  }

  private static func fillValue(_ fields: inout FieldReader) throws(StructureDamage) {
    let version = try fields.integer(1)
    switch version {
    case 1, 2:
      try fields.skip(2)
      let isDefined = try fields.integer(1) != 0
      if version == 1 || isDefined { try skipValue(&fields) }
    case 3:
      if try fields.integer(1) & 0x20 != 0 { try skipValue(&fields) }
    default: throw StructureDamage(reason: "its fill value is of version \(version)")
    }
  }

  private static func skipValue(_ fields: inout FieldReader) throws(StructureDamage) {
    let count = try fields.integer(4)
    // All ones stand for a value that nobody gave.
    if count != 0xFFFF_FFFF { try fields.skip(count) }
  }

  // MARK: Storage

  private static func layout(_ fields: inout FieldReader) throws(StructureDamage) -> Layout {
    let version = try fields.integer(1)
    switch version {
    case 1, 2:
      let axes = try fields.integer(1)
      let kind = try fields.integer(1)
      try fields.skip(5)
      let address = kind == 0 ? undefined : try fields.word()
      guard axes <= 33 else { throw StructureDamage(reason: "its layout has \(axes) axes") }
      var chunk: [UInt64] = []
      for _ in 0..<axes { chunk.append(try fields.number(4)) }
      switch kind {
      case 0:
        let bytes = try fields.integer(4)
        try fields.skip(bytes)
        return .compact(bytes: bytes)
      case 1: return .contiguous(address: address, bytes: 0)
      case 2: return .chunked(tree: address, chunk: chunk)
      default: break
      }
    case 3, 4:
      let kind = try fields.integer(1)
      switch kind {
      case 0:
        let bytes = try fields.integer(2)
        try fields.skip(bytes)
        return .compact(bytes: bytes)
      case 1: return .contiguous(address: try fields.word(), bytes: try fields.word())
      case 2 where version == 3:
        let axes = try fields.integer(1)
        let tree = try fields.word()
        var chunk: [UInt64] = []
        for _ in 0..<axes { chunk.append(try fields.number(4)) }
        return .chunked(tree: tree, chunk: chunk)
      case 2:
        try fields.skip(1)
        let axes = try fields.integer(1)
        let width = try fields.integer(1)
        guard (1...33).contains(axes), (1...8).contains(width) else {
          throw StructureDamage(reason: "its chunks have \(axes) axes")
        }
        try fields.skip(axes * width + 1)
        return .other
      case 3:
        // What the library reads of it, as soon as the dataset is looked for, it takes on trust.
        throw StructureDamage(
          reason: "a dataset in it is virtual: its data lie in other files, which are not read")
      default: break
      }
    default: break
    }
    throw StructureDamage(reason: "its layout is of an unknown kind")
  }

  private static func pipeline(_ fields: inout FieldReader) throws(StructureDamage) -> [Int] {
    let version = try fields.integer(1)
    let count = try fields.integer(1)
    guard (1...2).contains(version), count <= 32 else {
      throw StructureDamage(reason: "it has \(count) filters of version \(version)")
    }
    if version == 1 { try fields.skip(6) }
    var filters: [Int] = []
    for _ in 0..<count {
      let filter = try fields.integer(2)
      let name = version == 1 || filter >= 256 ? try fields.integer(2) : 0
      try fields.skip(2)
      let values = try fields.integer(2)
      guard version == 2 || name % 8 == 0 else {
        throw StructureDamage(reason: "a filter's name has \(name) bytes")
      }
      var text = try fields.part(name)
      if name > 0 { try text.skipText(padded: false) }
      try fields.skip(4 * values + (version == 1 && values % 2 == 1 ? 4 : 0))
      filters.append(filter)
    }
    return filters
  }

  private mutating func externalFiles(_ fields: inout FieldReader) throws(StructureDamage) {
    try fields.skip(4)
    let room = try fields.integer(2)
    let used = try fields.integer(2)
    guard used <= room else {
      throw StructureDamage(reason: "it has more external files than room")
    }
    nameHeaps.append(try fields.word())
    try fields.skip(24 * used)
  }

  // MARK: Groups

  private static func linkInfo(_ fields: inout FieldReader) throws(StructureDamage) {
    try fields.skip(1)
    let flags = try fields.integer(1)
    try fields.skip((flags & 1 != 0 ? 8 : 0) + 16 + (flags & 2 != 0 ? 8 : 0))
  }

  private static func attributeInfo(_ fields: inout FieldReader) throws(StructureDamage) {
    try fields.skip(1)
    let flags = try fields.integer(1)
    try fields.skip((flags & 1 != 0 ? 2 : 0) + 16 + (flags & 2 != 0 ? 8 : 0))
  }

  private static func groupInfo(_ fields: inout FieldReader) throws(StructureDamage) {
    try fields.skip(1)
    let flags = try fields.integer(1)
    try fields.skip((flags & 1 != 0 ? 4 : 0) + (flags & 2 != 0 ? 4 : 0))
  }

  private mutating func link(_ fields: inout FieldReader) throws(StructureDamage) {
    try fields.skip(1)
    let flags = try fields.integer(1)
    let kind = flags & 8 != 0 ? try fields.integer(1) : 0
    try fields.skip((flags & 4 != 0 ? 8 : 0) + (flags & 16 != 0 ? 1 : 0))
    let length = try fields.number(1 << (flags & 3))
    guard (1...UInt64(1 << 16)).contains(length) else {
      throw StructureDamage(reason: "a link's name has \(length) bytes")
    }
    try fields.skip(Int(length))
    switch kind {
    case 0: objects.append(try fields.word())
    default:
      if kind == 1 { hasSoftLinks = true }
      try fields.skip(fields.integer(2))
    }
  }

  // MARK: Attributes

  private mutating func attribute(_ message: FieldReader) throws(StructureDamage) {
    var fields = message
    let version = try fields.integer(1)
    let flags = try fields.integer(1)
    guard (1...3).contains(version) else {
      throw StructureDamage(reason: "an attribute is of version \(version)")
    }
    let lengths = [try fields.integer(2), try fields.integer(2), try fields.integer(2)]
    if version == 3 { try fields.skip(1) }
    func part(_ length: Int) throws(StructureDamage) -> FieldReader {
      try fields.part(version == 1 ? (length + 7) / 8 * 8 : length)
    }
    var name = try part(lengths[0])
    let room = name.left
    try name.skipText(padded: false)
    // The library gives such a file up in the midst of its attributes, and falls over what it has of them.
    guard room - name.left == lengths[0] else {
      throw StructureDamage(
        reason: "an attribute's name of \(room - name.left) bytes declares \(lengths[0])")
    }
    var typeFields = try part(lengths[1])
    var spaceFields = try part(lengths[2])
    guard version == 1 || flags & 3 == 0 else {
      throw StructureDamage(reason: "an attribute shares its type or dataspace")
    }
    let type = try ElementType(&typeFields)
    let sizes = try Self.dataspace(&spaceFields)
    guard let count = product(sizes), let bytes = product([count, UInt64(type.bytes)]) else {
      throw StructureDamage(reason: "an attribute's size overflows")
    }
    guard bytes <= UInt64(fields.left) else {
      throw StructureDamage(
        reason: "an attribute declares \(bytes) bytes where \(fields.left) are left")
    }
    if type.isVariableString {
      references.append(References(position: fields.position, count: Int(count)))
    }
  }
}

/// The product of `sizes`, or `nil` if it overflows.
func product(_ sizes: [UInt64]) -> UInt64? {
  var result: UInt64 = 1
  for size in sizes {
    let (next, overflow) = result.multipliedReportingOverflow(by: size)
    if overflow { return nil }
    result = next
  }
  return result
}
