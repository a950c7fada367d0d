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

  package init(_ scored: ScoredSet, paths: [String], sources: [String]) {
    rows = scored.scores.indices.map {
      Row(
        path: paths[$0], source: sources[$0], label: scored.labels[$0],
        method: scored.methodNames[Int(scored.methods[$0])], logitReal: scored.logits[2 * $0],
        logitFake: scored.logits[2 * $0 + 1])
    }
  }

  /// - Parameter probabilities: of fake, one a row.
  package func text(probabilities: [Double]) -> String {
    var text = Self.columns.joined(separator: ",") + "\n"
    for (index, row) in rows.enumerated() {
      let fields = [
        String(index), Self.field(row.path), Self.field(row.source), String(row.label),
        Self.field(row.method), "\(row.logitReal)", "\(row.logitFake)", "\(probabilities[index])",
      ]
      text += fields.joined(separator: ",") + "\n"
    }
    return text
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

  // MARK: Comparing

  /// The first line in which the images are not the same; nil where both are of the same images.
  func firstDifference(from other: ScoresTable) -> Int? {
    if let place = zip(rows, other.rows).enumerated().first(where: { _, pair in
      let (a, b) = pair
      return a.path != b.path || a.source != b.source || a.label != b.label
        || (a.label == 1 && a.method != b.method)
    }) {
      return place.offset
    }
    return rows.count == other.rows.count ? nil : min(rows.count, other.rows.count)
  }

  /// Of each row, without a temperature, which changes no order.
  package var scores: [Double] {
    rows.map { CrossEntropy.probabilityOfFake(real: $0.logitReal, fake: $0.logitFake) }
  }
}
