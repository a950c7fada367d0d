/// The beginning of a file: where HDF5's part of it lies, and how its trees are made.
///
/// Source: HDF5 File Format Specification, section II "Disk Format: Level 0 - File Metadata".
extension StructureCheck {
  private static let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]

  /// At the beginning, or behind a user block of 512 bytes or a doubled multiple of them.
  func findSignature() throws(StructureDamage) -> Int? {
    var place = 0
    while place < fileSize {
      if try bytes(at: place, 8) == Self.signature { return place }
      place = place == 0 ? 512 : place * 2
    }
    return nil
  }

  /// The headers to begin with.
  mutating func superblock() throws(StructureDamage) -> [UInt64] {
    var fields = FieldReader(try bytes(at: base, 112), origin: base)
    try fields.skip(8)
    let version = try fields.integer(1)
    guard version < 4 else { throw StructureDamage(reason: "its format is of version \(version)") }
    if version < 2 { try fields.skip(4) }
    let widths = (try fields.integer(1), try fields.integer(1))
    guard widths == (8, 8) else {
      throw StructureDamage(
        reason: "it is an HDF5 file, but its addresses and lengths have \(widths.0) and "
          + "\(widths.1) bytes, not 8")
    }
    let marks = try fields.integer(1)
    if version < 2 {
      leafRank = try fields.integer(2)
      internalRank = try fields.integer(2)
      try fields.skip(4)
      if version == 1 {
        chunkRank = try fields.integer(2)
        try fields.skip(2)
      }
      guard leafRank > 0, internalRank > 0, chunkRank > 0 else {
        throw StructureDamage(reason: "its trees have no room")
      }
      let storedBase = try fields.word()
      try fields.skip(8)
      try requireWhole(fields.word(), storedBase: storedBase)
      guard try fields.word() == Self.undefined else {
        throw StructureDamage(reason: "it was made for another file driver")
      }
      try fields.skip(8)
      let root = try fields.word()
      if try fields.integer(4) == 1 {
        try fields.skip(4)
        // What the library takes for the root's tree and heap, whatever the root itself says.
        try group(tree: fields.word(), heap: fields.word())
      }
      return [root]
    }
    // Before the file's end: a writer that has just begun has neither.
    guard version < 3 || marks & 5 == 0 else {
      throw StructureDamage(
        reason: "it is marked as open for writing: another program has it open, or ended without "
          + "closing it; close it there, or write it again (if it is known to be whole, h5clear -s "
          + "removes the mark)")
    }
    let storedBase = try fields.word()
    let more = try fields.word()
    try requireWhole(fields.word(), storedBase: storedBase)
    let root = try fields.word()
    return more == Self.undefined ? [root] : [more, root]
  }

  /// - Parameters:
  ///   - end: where the file says that it ends.
  ///   - storedBase: where the file says that its HDF5 part begins, which changes nothing when something
  ///     is put before it.
  private mutating func requireWhole(
    _ end: UInt64, storedBase: UInt64
  ) throws(StructureDamage) {
    let (length, isImpossible) = end.subtractingReportingOverflow(storedBase)
    let there = UInt64(fileSize - base)
    guard !isImpossible, length <= there else {
      throw StructureDamage(
        reason: "truncated file: it has \(fileSize) bytes, but says it has \(end); copy it again, "
          + "or write it again if the program that wrote it did not finish")
    }
    if length < there {
      unfinished =
        "the file has \(fileSize) bytes, but says it has \(end): the program that wrote it did not "
        + "finish, or still has it open"
    }
  }
}
