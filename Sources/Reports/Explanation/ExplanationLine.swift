import Foundations
import MessagePassing

/// What is said about a file, on its way to rank 0.
struct ExplanationLine: Sendable {
  /// The file's place among all.
  let index: Int
  let said: Said

  enum Said: Sendable {
    case explained(FileExplanation)
    /// Why there is nothing to explain, and what the file is in a word or two.
    case skipped(String, kind: String)
  }

  init(index: Int, _ said: Said) {
    self.index = index
    self.said = said
  }

  /// The lines of all ranks in the order of the files, on every rank. Collective.
  static func exchange(
    _ lines: [ExplanationLine], _ communicator: Communicator
  ) throws -> [ExplanationLine] {
    var all: [ExplanationLine] = []
    for part in try communicator.allGather(JSON.array(lines.map(\.json)).line()) {
      all += try Self.lines(decoding: part)
    }
    return all.sorted { $0.index < $1.index }
  }

  /// For several lines in one message. Paths and names stand in it as JSON has them: no byte of
  /// theirs can be taken for one of the message's own.
  private var json: JSON {
    switch said {
    case .explained(let explanation): [.integer(index), .array(explanation.lines)]
    case .skipped(let reason, let kind): [.integer(index), .text(reason), .text(kind)]
    }
  }

  /// - Throws: `JSON.Malformed` for a message that was changed on its way.
  private static func lines(decoding message: String) throws -> [ExplanationLine] {
    try (JSON(parsing: Array(message.utf8)).arrayValue ?? []).map { line in
      let parts = line.arrayValue ?? []
      if let index = parts.first?.integerValue {
        if parts.count == 2, let lines = parts[1].arrayValue,
          let explanation = FileExplanation(lines: lines)
        {
          return ExplanationLine(index: index, .explained(explanation))
        }
        if parts.count == 3, let reason = parts[1].textValue, let kind = parts[2].textValue {
          return ExplanationLine(index: index, .skipped(reason, kind: kind))
        }
      }
      preconditionFailure("another rank sent something else than lines: \(line)")
    }
  }
}
