import Foundation
import Foundations
import HierarchicalData

/// What is known of all shards of a data set, in one piece of memory: a byte a sample (its method, which is
/// its label too), and a record a shard with its file, its size and where its rows lie.
///
/// Who has the bytes needs to open no shard: ranks of a host share them, and they may be kept in a file.
/// They are for machines of the same byte order only.
///
/// | part | holds |
/// | --- | --- |
/// | ``Header`` | sizes of the parts, the images' size, the digest of columns |
/// | records | a ``Record`` a shard |
/// | texts | JSON: paths, names of methods, of the set and of the shards, preprocessing |
/// | methods | a byte a sample |
/// | words | ``RowPlaces/words`` of images and masks |
struct ShardIndex: Sendable {
  /// All fields have 8 bytes, so that there is nothing between them.
  struct Header {
    var mark: UInt64 = ShardIndex.mark
    var size = 0
    var samples = 0
    var shards = 0
    var height = 0
    var width = 0
    /// Of sizes, labels and methods of all shards, see ``ShardFingerprint``.
    var columns: UInt64 = 0
    var textStart = 0
    var textSize = 0
    var methodStart = 0
    var wordStart = 0
    var wordCount = 0
  }

  /// One shard.
  struct Record {
    /// Number of its first sample.
    var start = 0
    var count = 0
    var device = 0
    var inode = 0
    var size = 0
    var modified = 0
    var base = 0
    /// Of its labels and methods, as it numbers them itself.
    var columns: UInt64 = 0
    /// Which of the lists of names is its own.
    var names = 0
    var contents: UInt64 = 0
    /// Bit 0: its masks are booleans; bit 1: they have four axes.
    var masks = 0
    var imagesTogether = 0
    var masksTogether = 0
    var imageRows = Rows()
    var maskRows = Rows()
  }

  /// ``StoredRows`` but for their words, which are a part of the index's.
  struct Rows {
    /// Bit 0: there are some; 1: compressed; 2: with checksums; 3: all of one size.
    var form = 0
    var start = 0
    var count = 0
    var commonSize = 0
  }

  /// What is text.
  struct Texts: Codable {
    var paths: [String] = []
    /// Of the set.
    var methodNames: [String] = []
    /// Different lists of names that shards have themselves.
    var nameLists: [[String]] = []
    var preprocessing: String?
  }

  /// "rfmindex" with a version in its last byte.
  static let mark: UInt64 = 0x0178_6564_6E69_6672

  /// The bytes, and what keeps them.
  final class Memory: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    private let owner: AnyObject?

    /// Bytes that `owner` keeps.
    init(_ bytes: UnsafeRawBufferPointer, owner: AnyObject) {
      self.bytes = bytes
      self.owner = owner
    }

    /// A copy.
    init(copying bytes: [UInt8]) {
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
      copy.copyBytes(from: bytes)
      self.bytes = UnsafeRawBufferPointer(copy)
      owner = nil
    }

    deinit { if owner == nil { bytes.deallocate() } }
  }

  let memory: Memory
  let header: Header
  let texts: Texts

  /// The bytes are not an index, or not a whole one.
  struct Damage: Error {}

  /// - Throws: ``Damage``.
  init(_ memory: Memory) throws {
    let bytes = memory.bytes
    guard bytes.count >= MemoryLayout<Header>.size else { throw Damage() }
    let header = bytes.load(as: Header.self)
    func holds(_ start: Int, _ count: Int, of size: Int) -> Bool {
      guard start >= 0, count >= 0, start <= bytes.count, start % size == 0 || size == 1 else {
        return false
      }
      let (needed, overflow) = count.multipliedReportingOverflow(by: size)
      return !overflow && needed <= bytes.count - start
    }
    guard header.mark == Self.mark, header.size == bytes.count,
      holds(Self.recordStart, header.shards, of: 1), header.shards > 0,
      holds(Self.recordStart, header.shards * MemoryLayout<Record>.size, of: 1),
      holds(header.textStart, header.textSize, of: 1),
      holds(header.methodStart, header.samples, of: 1),
      holds(header.wordStart, header.wordCount, of: 4),
      (1...ShardFormat.sideLimit).contains(header.height),
      (1...ShardFormat.sideLimit).contains(header.width)
    else { throw Damage() }
    let text = UnsafeRawBufferPointer(
      rebasing: bytes[header.textStart..<header.textStart + header.textSize])
    let texts = try JSONDecoder().decode(Texts.self, from: Data(text))
    guard texts.paths.count == header.shards, texts.methodNames.first == ShardFormat.real,
      texts.methodNames.count <= ShardFormat.methodLimit
    else { throw Damage() }
    (self.memory, self.header, self.texts) = (memory, header, texts)
    var start = 0
    for shard in 0..<header.shards {
      let record = self[shard]
      guard record.start == start, record.count >= 0, record.count <= header.samples - start,
        texts.nameLists.indices.contains(record.names), record.size >= 0, record.base >= 0
      else { throw Damage() }
      start += record.count
    }
    guard start == header.samples, start > 0,
      bytes[header.methodStart..<header.methodStart + start]
        .allSatisfy({ $0 < texts.methodNames.count })
    else { throw Damage() }
  }

  static var recordStart: Int { MemoryLayout<Header>.size }

  subscript(shard: Int) -> Record {
    memory.bytes.load(
      fromByteOffset: Self.recordStart + shard * MemoryLayout<Record>.size, as: Record.self)
  }

  /// The file of a shard as it was found.
  func identity(of shard: Int) -> FileStamp {
    let record = self[shard]
    return FileStamp(
      device: record.device, inode: record.inode, size: record.size, modified: record.modified)
  }

  /// Whether this process sees the same files; of many shards some are looked at, evenly chosen.
  var isSeenHere: Bool {
    stride(from: 0, to: header.shards, by: (header.shards + 31) / 32).allSatisfy {
      FileStamp(of: texts.paths[$0]) == identity(of: $0)
    }
  }

  /// Methods of all samples, by the set's names.
  var methods: SampleMethods { methods(0..<header.samples) }

  private func methods(_ samples: Range<Int>) -> SampleMethods {
    let bytes = UnsafeRawBufferPointer(
      rebasing: memory.bytes[
        header.methodStart + samples.lowerBound..<header.methodStart + samples.upperBound])
    return SampleMethods(
      SampleMethods.Storage(bytes.bindMemory(to: UInt8.self), owner: memory))
  }

  /// All shards, none of them opened. Their methods are numbered by the set's names.
  func shards() throws -> [Shard] {
    try (0..<header.shards).map { number in
      let record = self[number]
      let stored = StoredFile(
        checked: CheckedFile(identity: identity(of: number), base: record.base),
        images: try rows(record.imageRows, of: record, size: header.height * header.width * 3),
        masks: try rows(record.maskRows, of: record, size: header.height * header.width))
      let facts = ShardFacts(
        path: texts.paths[number], count: record.count, height: header.height,
        width: header.width, methodNames: texts.methodNames,
        contents: ShardFacts.Contents(rawValue: record.contents),
        preprocessing: texts.preprocessing, imagesUnpackedTogether: max(1, record.imagesTogether),
        masksUnpackedTogether: max(1, record.masksTogether),
        masksHaveFourAxes: record.masks & 2 != 0,
        scaleOfType: record.masks & 1 != 0 ? .ones : nil, stored: stored)
      return Shard(facts, methods: methods(record.start..<record.start + record.count))
    }
  }

  private func rows(_ rows: Rows, of record: Record, size: Int) throws -> StoredRows? {
    guard rows.form & 1 != 0 else { return nil }
    guard rows.start >= 0, rows.count >= 0, rows.start <= header.wordCount,
      rows.count <= header.wordCount - rows.start
    else { throw Damage() }
    let words = UnsafeRawBufferPointer(
      rebasing: memory.bytes[header.wordStart...]
        .dropFirst(4 * rows.start).prefix(4 * rows.count)
    ).bindMemory(to: UInt32.self)
    guard
      let places = RowPlaces(
        words: words, rows: record.count, commonSize: rows.form & 8 != 0 ? rows.commonSize : nil,
        owner: memory)
    else { throw Damage() }
    return StoredRows(
      count: record.count, rowSize: size, isCompressed: rows.form & 2 != 0,
      hasChecksum: rows.form & 4 != 0, places: places)
  }
}
