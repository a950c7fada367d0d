import FaceShards
import Foundations
import Networks

/// `scores.csv`: a line an image with its logits, in the order of the shards; fields are quoted as RFC 4180
/// says where they need it.
public struct ScoresTable: Sendable {
  public struct Row: Equatable, Sendable {
    public var path: String
    public var source: String
    public var label: UInt8
    public var method: String
    public var logitReal: Float
    public var logitFake: Float
  }

  public let rows: [Row]

  static let columns = [
    "index", "path", "source", "label", "method", "logit_real", "logit_fake", "probability_fake",
  ]

  public init(rows: [Row]) { self.rows = rows }

  /// A table that can't be read.
  public struct Malformed: ReportableError {
    let path: String
    let problem: String
    public var description: String {
      "\(printable(path, limit: 400)): \(problem); a scores.csv of rfm evaluate is expected"
    }
    public var exitStatus: ExitStatus { .badData }
  }

  // MARK: Writing

  static let heading = columns.joined(separator: ",") + "\n"

  /// Characters that are gathered before they are written.
  private static let part = 1 << 16

  /// Writes what was scored. Of the paths, one shard's are in memory at a time.
  ///
  /// - Parameters:
  ///   - set: the images, all of them.
  ///   - sources: of each image, empty where it names none.
  /// - Throws: what reading shards throws, `FileError`.
  package static func write(
    _ scored: ScoredSet, of set: ShardSet, sources: [String], to path: String
  ) throws {
    try DurableFile.write(to: path) { file in
      var text = heading
      try scored.forEachRow(of: set, sources: sources) { index, row in
        text += row.line(index, probability: scored.scores[index])
        guard text.utf8.count >= part else { return }
        try file.write(text)
        text = ""
      }
      try file.write(text)
    }
  }

  static func field(_ text: String) -> String {
    // Not by characters: one may begin with a quotation mark, or be two line ends.
    guard text.unicodeScalars.contains(where: { [",", "\"", "\n", "\r"].contains($0) }) else {
      return text
    }
    var quoted = String.UnicodeScalarView("\"".unicodeScalars)
    for scalar in text.unicodeScalars {
      quoted.append(scalar)
      if scalar == "\"" { quoted.append(scalar) }
    }
    quoted.append("\"")
    return String(quoted)
  }

  // MARK: Reading

  /// - Throws: ``Malformed`` that names the line, `FileError`.
  public init(reading path: String) throws {
    let reader = try FileReader(opening: path)
    guard reader.size <= 4 << 30 else {
      throw Malformed(path: path, problem: "is too large (\(reader.size) bytes)")
    }
    var bytes = [UInt8](repeating: 0, count: reader.size)
    let count = try bytes.withUnsafeMutableBytes { try reader.read(into: $0, at: 0) }
    try self.init(parsing: bytes[..<count], path: path)
  }

  /// - Parameter path: for errors.
  init(parsing bytes: ArraySlice<UInt8>, path: String) throws {
    var rows: [Row] = []
    var places: [Int]?
    try Self.forEachRecord(of: bytes) { fields, line throws(Malformed) in
      func failure(_ problem: String) -> Malformed {
        Malformed(path: path, problem: "line \(line): \(problem)")
      }
      guard let columns = places else {
        let found = Self.columns.map { fields.firstIndex(of: $0) }
        guard found.allSatisfy({ $0 != nil }) else {
          throw failure("the columns are not \(Self.columns.joined(separator: ","))")
        }
        places = found.compactMap { $0 }
        return
      }
      guard let last = columns.max(), last < fields.count else {
        throw failure("has \(fields.count) fields")
      }
      func value(_ column: Int) -> String { fields[columns[column]] }
      guard value(0) == String(rows.count) else {
        throw failure("index \(printable(value(0))), where \(rows.count) is due")
      }
      guard let label = UInt8(value(3)), label <= 1 else {
        throw failure("label \(printable(value(3))), not 0 or 1")
      }
      guard let real = Float(value(5)), let fake = Float(value(6)), real.isFinite, fake.isFinite
      else { throw failure("a logit that is no finite number") }
      rows.append(
        Row(
          path: value(1), source: value(2), label: label, method: value(4), logitReal: real,
          logitFake: fake))
    }
    guard places != nil else { throw Malformed(path: path, problem: "is empty") }
    self.rows = rows
  }

  /// Records of RFC 4180, with the line that each begins on.
  private static func forEachRecord(
    of bytes: ArraySlice<UInt8>, _ body: ([String], Int) throws(Malformed) -> Void
  ) throws(Malformed) {
    let (quote, comma, feed, carriage) = (
      UInt8(ascii: "\""), UInt8(ascii: ","), UInt8(ascii: "\n"), UInt8(ascii: "\r")
    )
    var (fields, field): ([String], [UInt8]) = ([], [])
    var (line, first, isQuoted, wasQuote) = (1, 1, false, false)
    func close() {
      fields.append(String(decoding: field, as: UTF8.self))
      field = []
    }
    for byte in bytes {
      if byte == feed { line += 1 }
      if isQuoted, !wasQuote {
        if byte == quote { wasQuote = true } else { field.append(byte) }
        continue
      }
      if wasQuote {
        wasQuote = false
        if byte == quote {
          field.append(byte)
          continue
        }
        isQuoted = false
      }
      switch byte {
      case quote: isQuoted = true
      case comma: close()
      case carriage: break
      case feed:
        close()
        try body(fields, first)
        (fields, first) = ([], line)
      default: field.append(byte)
      }
    }
    if !field.isEmpty || !fields.isEmpty {
      close()
      try body(fields, first)
    }
  }
}

extension ScoresTable.Row {
  /// The line with this index.
  ///
  /// - Parameter probability: of fake.
  func line(_ index: Int, probability: Double) -> String {
    let fields = [
      String(index), ScoresTable.field(path), ScoresTable.field(source), String(label),
      ScoresTable.field(method), "\(logitReal)", "\(logitFake)", "\(probability)",
    ]
    return fields.joined(separator: ",") + "\n"
  }

  /// Whether both tell of the same image, whatever they say of it.
  func isOfTheImage(of other: Self) -> Bool {
    path == other.path && source == other.source && label == other.label
      && (label == 0 || method == other.method)
  }
}

extension ScoresTable {
  /// The first line that tells of another image than was scored; nil where both are of the same images.
  ///
  /// - Throws: what reading shards throws.
  func firstDifference(
    from scored: ScoredSet, of set: ShardSet, sources: [String]
  ) throws -> Int? {
    var first: Int?
    try scored.forEachRow(of: set, sources: sources) { index, row in
      if first == nil, index >= rows.count || !rows[index].isOfTheImage(of: row) { first = index }
    }
    return first ?? (rows.count > set.count ? set.count : nil)
  }

  /// Of each row, without a temperature, which changes no order.
  package var scores: [Double] {
    rows.map { CrossEntropy.probabilityOfFake(real: $0.logitReal, fake: $0.logitFake) }
  }
}

extension ScoredSet {
  /// Calls `body` with the row of every image. Of the paths, one shard's are in memory at a time.
  func forEachRow(
    of set: ShardSet, sources: [String], _ body: (Int, ScoresTable.Row) throws -> Void
  ) throws {
    precondition(
      scores.count == set.count && sources.count == set.count, "all images of the set were scored")
    try set.forEachShardsPaths { samples, paths in
      for (index, path) in zip(samples, paths) {
        let row = ScoresTable.Row(
          path: path, source: sources[index], label: labels[index],
          method: methodNames[Int(methods[index])], logitReal: logits[2 * index],
          logitFake: logits[2 * index + 1])
        try body(index, row)
      }
    }
  }
}
