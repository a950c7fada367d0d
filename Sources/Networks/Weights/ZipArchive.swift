import CZLib
import Foundations

/// The directory of a ZIP archive (PKWARE's APPNOTE, ZIP64 included), read and checked: every entry
/// lies inside the file, none overlaps another, and no name is used twice.
///
/// `torch.save` stores its parts as they are, so that a tensor can be read straight from its place
/// in the file; and where PyTorch was told to write no checksums (`set_crc32_options`) they are all
/// 0, which general readers of archives refuse. So the directory is read here, and zlib does the
/// rest.
struct ZipArchive {
  /// What is wrong with an archive, to be said after its path.
  struct Problem: Error {
    var text: String
  }

  struct Entry {
    let name: String
    /// CRC-32 of its bytes.
    let checksum: UInt32
    let isDeflated: Bool
    /// Where in the file it lies, as it is stored.
    let stored: Range<Int>
    /// Bytes of it once inflated.
    let size: Int
  }

  /// In the order of the directory, without folders.
  let entries: [Entry]
  /// Whether checksums were written.
  let hasChecksums: Bool

  private let file: OpenFile
  private let places: [[UInt8]: Int]

  /// A directory may have at most this many bytes: those of about half a million entries.
  static let maximumDirectoryBytes = 64 << 20

  /// What an archive's first entry begins with.
  static let localSignature: UInt32 = 0x0403_4b50
  private static let entrySignature: UInt32 = 0x0201_4b50
  private static let endSignature: UInt32 = 0x0605_4b50
  private static let largeLocatorSignature: UInt32 = 0x0706_4b50
  private static let largeEndSignature: UInt32 = 0x0606_4b50

  subscript(name: String) -> Entry? { places[Array(name.utf8)].map { entries[$0] } }

  /// - Throws: ``Problem``, ``TensorFileError`` where the file shrinks meanwhile, `FileError`.
  init(_ file: OpenFile) throws {
    let directory = try Self.directory(of: file)
    let fields = try LittleEndianFields(file.bytes(directory.range))
    var position = 0
    var entries: [Entry] = []
    var places: [[UInt8]: Int] = [:]
    for _ in 0..<directory.count {
      guard position + 46 <= fields.count, fields.u32(position) == Self.entrySignature else {
        throw Problem(text: "is damaged: an entry of its directory is missing")
      }
      let extra = position + 46 + fields.u16(position + 28)
      let comment = extra + fields.u16(position + 30)
      let next = comment + fields.u16(position + 32)
      guard next <= fields.count else {
        throw Problem(text: "is damaged: an entry of its directory is cut off")
      }
      let name = Array(fields.bytes[(position + 46)..<extra])
      let text = String(decoding: name, as: UTF8.self)
      let shown = "'\(printable(text))'"
      guard fields.u16(position + 8) & 1 == 0 else {
        throw Problem(text: "holds \(shown) encrypted: unpack it with its password first")
      }
      let method = fields.u16(position + 10)
      guard method == 0 || method == 8 else {
        throw Problem(
          text: "holds \(shown) compressed by a method (\(method)) that is not read here: unpack "
            + "it and pack it again without compression (zip -0)")
      }
      guard let place = Self.place(fields, entry: position, extra: extra..<comment) else {
        throw Problem(text: "is damaged: its directory does not say where \(shown) lies")
      }
      let checksum = fields.u32(position + 16)
      position = next
      if name.last == UInt8(ascii: "/"), place.size == 0 { continue }

      guard let start = try Self.start(of: name, at: place.offset, in: file),
        place.stored <= directory.range.lowerBound - start
      else { throw Problem(text: "is damaged: \(shown) does not lie where its directory says") }
      // Deflate gives at most 1,032 bytes for one.
      guard method == 0 ? place.size == place.stored : place.size / 1033 <= place.stored else {
        throw Problem(
          text: "is damaged: \(shown) would have \(place.size) bytes, of \(place.stored) stored")
      }
      guard places.updateValue(entries.count, forKey: name) == nil else {
        throw Problem(text: "holds \(shown) twice")
      }
      entries.append(
        Entry(
          name: text, checksum: checksum, isDeflated: method == 8,
          stored: start..<start + place.stored, size: place.size))
    }
    guard position == fields.count else {
      throw Problem(text: "is damaged: its directory goes on after its last entry")
    }
    var end = 0
    for entry in entries.sorted(by: { $0.stored.lowerBound < $1.stored.lowerBound })
    where !entry.stored.isEmpty {
      guard entry.stored.lowerBound >= end else {
        throw Problem(text: "is damaged: '\(printable(entry.name))' overlaps another entry")
      }
      end = entry.stored.upperBound
    }
    self.file = file
    self.entries = entries
    self.places = places
    hasChecksums = entries.contains { $0.checksum != 0 }
  }

  /// All bytes of an entry, checked.
  /// - Throws: ``Problem``, also for more than `limit` bytes; `FileError`.
  func bytes(of entry: Entry, limit: Int) throws -> [UInt8] {
    guard entry.size <= limit else {
      throw Problem(
        text: "holds '\(printable(entry.name))' of \(entry.size) bytes, more than the \(limit) "
          + "that are read")
    }
    var bytes = try file.bytes(entry.stored)
    if entry.isDeflated {
      let packed = bytes
      var whole = false
      bytes = [UInt8](unsafeUninitializedCapacity: entry.size) { buffer, count in
        whole =
          rfm_inflate(packed, packed.count, buffer.baseAddress, entry.size) == 1
        count = whole ? entry.size : 0
      }
      guard whole else {
        throw Problem(text: "is damaged: '\(printable(entry.name))' can't be inflated")
      }
    }
    var checksum = Checksum()
    bytes.withUnsafeBytes { checksum.update($0) }
    try require(checksum, of: entry)
    return bytes
  }

  /// - Throws: ``Problem`` where an entry does not have the checksum that was written with it.
  func require(_ checksum: Checksum, of entry: Entry) throws {
    guard !hasChecksums || checksum.value == entry.checksum else {
      throw Problem(
        text: "is damaged: '\(printable(entry.name))' does not have the checksum that was written "
          + "with it; fetch the file again")
    }
  }

  // MARK: The directory

  /// Where the directory lies, and how many entries it has.
  private static func directory(of file: OpenFile) throws -> (range: Range<Int>, count: Int) {
    let cut = Problem(
      text: "is cut off: it is a ZIP archive (which torch.save writes) without the directory that "
        + "ends one; fetch the file again")
    // The end has 22 bytes and a comment, which is seldom there.
    let tailStart = max(0, file.size - 22 - 0xffff)
    let tail = LittleEndianFields(try file.bytes(tailStart..<file.size))
    guard
      let end = stride(from: tail.count - 22, through: 0, by: -1).first(where: {
        tail.u32($0) == endSignature && $0 + 22 + tail.u16($0 + 20) == tail.count
      })
    else { throw cut }
    let damaged = Problem(text: "is damaged: the end of the ZIP archive contradicts itself")
    guard tail.u16(end + 4) == 0 || tail.u16(end + 4) == 0xffff,
      tail.u16(end + 8) == tail.u16(end + 10)
    else { throw Problem(text: "is one part of a ZIP archive in several: join them first") }
    var count = tail.u16(end + 10)
    var size = Int(tail.u32(end + 12))
    var offset = Int(tail.u32(end + 16))
    var limit = tailStart + end
    if count == 0xffff || size == 0xffff_ffff || offset == 0xffff_ffff,
      end >= 20, tail.u32(end - 20) == largeLocatorSignature
    {
      guard let place = Int(exactly: tail.u64(end - 12)), place >= 0, place <= file.size - 56
      else { throw damaged }
      let large = LittleEndianFields(try file.bytes(place..<place + 56))
      guard large.u32(0) == largeEndSignature, large.u64(24) == large.u64(32),
        let largeCount = Int(exactly: large.u64(32)), let largeSize = Int(exactly: large.u64(40)),
        let largeOffset = Int(exactly: large.u64(48))
      else { throw damaged }
      (count, size, offset, limit) = (largeCount, largeSize, largeOffset, place)
    }
    guard size <= maximumDirectoryBytes else {
      throw Problem(text: "is a ZIP archive with too many entries for what torch.save writes")
    }
    guard offset >= 0, offset <= limit, size <= limit - offset, count <= size / 46 else {
      throw damaged
    }
    return (offset..<offset + size, count)
  }

  /// What an entry of the directory says about its place; large numbers stand in the extra field.
  private static func place(
    _ fields: LittleEndianFields, entry: Int, extra: Range<Int>
  ) -> (stored: Int, size: Int, offset: Int)? {
    var large: [Int?] = []
    var position = extra.lowerBound
    while position + 4 <= extra.upperBound {
      let start = position + 4
      let end = start + fields.u16(position + 2)
      if fields.u16(position) == 1, end <= extra.upperBound {
        large = stride(from: start, through: end - 8, by: 8).map { Int(exactly: fields.u64($0)) }
        break
      }
      position = end
    }
    var next = large.makeIterator()
    func number(_ offset: Int) -> Int? {
      let small = fields.u32(entry + offset)
      return small == 0xffff_ffff ? next.next() ?? nil : Int(small)
    }
    // The extra field has them in this order.
    guard let size = number(24), let stored = number(20), let offset = number(42) else {
      return nil
    }
    return (stored, size, offset)
  }

  /// Where the bytes of an entry begin, after its own header; nil where there is none of that name.
  private static func start(of name: [UInt8], at offset: Int, in file: OpenFile) throws -> Int? {
    guard offset <= file.size - 30 - name.count else { return nil }
    let header = LittleEndianFields(try file.bytes(offset..<offset + 30 + name.count))
    guard header.u32(0) == localSignature, header.u16(26) == name.count,
      header.bytes[30...].elementsEqual(name)
    else { return nil }
    return offset + header.count + header.u16(28)
  }
}

/// Integers in bytes, little-endian; whoever asks has checked that they are there.
struct LittleEndianFields {
  let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var count: Int { bytes.count }

  func u16(_ offset: Int) -> Int { Int(unsigned(offset, 2)) }
  func u32(_ offset: Int) -> UInt32 { UInt32(unsigned(offset, 4)) }
  func u64(_ offset: Int) -> UInt64 { unsigned(offset, 8) }

  private func unsigned(_ offset: Int, _ size: Int) -> UInt64 {
    var value = UInt64(0)
    for place in 0..<size { value |= UInt64(bytes[offset + place]) << UInt64(8 * place) }
    return value
  }
}
