import Foundation
import Foundations
import HierarchicalData

/// Makes the index of shards that are given one after another, and refuses those that don't fit together.
struct ShardIndexBuilder {
  private var header = ShardIndex.Header()
  private var texts = ShardIndex.Texts()
  private var records: [ShardIndex.Record] = []
  /// As the shards number them themselves, until all names are known.
  private var methods: [UInt8] = []
  private var words: [UInt32] = []
  private var listNumbers: [[String]: Int] = [:]
  private var preprocessing: ShardPreprocessing?
  private var columns = Fingerprint()

  /// Adds a shard behind the others.
  ///
  /// - Parameter digest: of its labels and methods; `nil` to take it from them.
  /// - Throws: ``ShardError`` if it doesn't fit to the first.
  mutating func add(
    _ facts: ShardFacts, methods: some Collection<UInt8>, digest: UInt64? = nil
  ) throws {
    let found = facts.preprocessing.map { ShardPreprocessing($0) }
    if records.isEmpty {
      (header.height, header.width) = (facts.height, facts.width)
      texts.preprocessing = facts.preprocessing
      preprocessing = found
      columns.add([facts.height, facts.width])
    }
    guard facts.height == header.height, facts.width == header.width else {
      throw ShardError(
        file: facts.path,
        reason: "images are \(facts.height)x\(facts.width) pixels, but \(header.height)x"
          + "\(header.width) in \(texts.paths[0])")
    }
    guard found == preprocessing else {
      let words = [found, preprocessing].map { $0?.description ?? "unknown" }
      throw ShardError(
        file: facts.path,
        reason: "its faces were cut out otherwise (\(words[0])) than those of \(texts.paths[0]) "
          + "(\(words[1])): a detector would tell the crops apart; pack both the same way")
    }
    let labels = methods.lazy.map { $0 == 0 ? 0 : 1 as UInt8 }
    for name in facts.methodNames {
      columns.add([name.utf8.count])
      columns.add(name.utf8)
    }
    columns.add([facts.count])
    columns.add(labels)
    columns.add(methods)
    var own = Fingerprint()
    if digest == nil {
      own.add(labels)
      own.add(methods)
    }
    if listNumbers[facts.methodNames] == nil {
      listNumbers[facts.methodNames] = texts.nameLists.count
      texts.nameLists.append(facts.methodNames)
    }
    var record = ShardIndex.Record()
    let (checked, identity) = (facts.stored.checked, facts.stored.checked.identity)
    (record.start, record.count) = (self.methods.count, facts.count)
    (record.device, record.inode) = (identity.device, identity.inode)
    (record.size, record.modified, record.base) = (identity.size, identity.modified, checked.base)
    record.columns = digest ?? own.value
    record.names = listNumbers[facts.methodNames]!
    record.contents = facts.contents.rawValue
    record.masks = (facts.scaleOfType == nil ? 0 : 1) | (facts.masksHaveFourAxes ? 2 : 0)
    (record.imagesTogether, record.masksTogether) =
      (facts.imagesUnpackedTogether, facts.masksUnpackedTogether)
    record.imageRows = add(facts.stored.images)
    record.maskRows = add(facts.stored.masks)
    records.append(record)
    texts.paths.append(facts.path)
    self.methods += methods
  }

  private mutating func add(_ stored: StoredRows?) -> ShardIndex.Rows {
    guard let stored else { return ShardIndex.Rows() }
    let (places, start) = (stored.places, words.count)
    words += places.words
    return ShardIndex.Rows(
      form: 1 | (stored.isCompressed ? 2 : 0) | (stored.hasChecksum ? 4 : 0)
        | (places.commonSize == nil ? 0 : 8),
      start: start, count: places.words.count, commonSize: places.commonSize ?? 0)
  }

  /// The index's bytes.
  ///
  /// - Parameter methodNames: names to number the methods by; `nil` for those of the shards.
  /// - Throws: ``ShardError`` if there is no image, or too many methods.
  mutating func finish(methodNames: [String]? = nil) throws -> [UInt8] {
    let names = methodNames ?? ShardSet.union(texts.nameLists)
    guard names.count <= ShardFormat.methodLimit else {
      throw ShardError(
        file: texts.paths[0],
        reason: "this and the other shards list \(names.count) different methods, at most "
          + "\(ShardFormat.methodLimit) can be")
    }
    guard !methods.isEmpty else {
      throw ShardError(
        file: texts.paths[0],
        reason: records.count == 1 ? "it holds no image" : "neither it nor the others hold an image"
      )
    }
    let numbers = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, UInt8($0)) })
    let unified = texts.nameLists.map { $0.map { numbers[$0]! } }
    for record in records {
      let own = unified[record.names]
      for sample in record.start..<record.start + record.count {
        methods[sample] = own[Int(methods[sample])]
      }
    }
    texts.methodNames = names
    (header.samples, header.shards, header.columns) = (methods.count, records.count, columns.value)
    return try methods.withUnsafeBytes { methods in
      try words.withUnsafeBytes { words in
        try ShardIndex.assemble(header, records, texts, methods: methods, words: words)
      }
    }
  }
}

extension ShardIndex {
  /// The bytes of an index.
  ///
  /// - Parameter header: its sizes of parts are filled in here.
  static func assemble(
    _ header: Header, _ records: [Record], _ texts: Texts, methods: UnsafeRawBufferPointer,
    words: UnsafeRawBufferPointer
  ) throws -> [UInt8] {
    var header = header
    let text = [UInt8](try JSONEncoder().encode(texts))
    header.textStart = recordStart + records.count * MemoryLayout<Record>.size
    header.textSize = text.count
    header.methodStart = header.textStart + text.count
    header.wordStart = (header.methodStart + methods.count + 63) / 64 * 64
    header.wordCount = words.count / 4
    header.size = header.wordStart + words.count
    var bytes: [UInt8] = []
    bytes.reserveCapacity(header.size)
    withUnsafeBytes(of: header) { bytes += $0 }
    records.withUnsafeBytes { bytes += $0 }
    bytes += text
    bytes += methods
    bytes += repeatElement(0, count: header.wordStart - bytes.count)
    bytes += words
    return bytes
  }
}
