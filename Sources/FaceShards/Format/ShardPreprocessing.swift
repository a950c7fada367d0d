import Foundations

/// How faces were found and cut out, as shards and detectors say it: a JSON object. Two are the same if
/// they say the same but for the programs that did it.
public struct ShardPreprocessing: Sendable, Equatable, CustomStringConvertible {
  /// As it is stored.
  public let text: String
  private let members: JSON?

  /// What may differ: versions of programs that do the same.
  private static let versions: Set<String> = ["dlib"]

  public init(_ text: String) {
    self.text = text
    guard let json = try? JSON(parsing: Array(text.utf8)), let members = json.members else {
      self.members = nil
      return
    }
    self.members = .object(
      members.filter { !Self.versions.contains($0.name) }.sorted { $0.name < $1.name })
  }

  public static func == (left: Self, right: Self) -> Bool {
    guard let one = left.members, let other = right.members else { return left.text == right.text }
    return one == other
  }

  public var description: String { printable(text, limit: 400) }

  /// A detector is applied to faces that were cut out otherwise than those that it has learnt from.
  public struct Mismatch: ReportableError {
    let file: String
    let found: ShardPreprocessing
    let expected: ShardPreprocessing
    let whose: String

    public var description: String {
      "\(file): its faces were cut out by \(found), but those of \(whose) by \(expected): pack it the "
        + "same way, or say --any-preprocessing to have figures of a detector on other crops than its own"
    }
    public var exitStatus: ExitStatus { .badData }
  }
}

extension ShardSet {
  /// Refuses faces that were cut out otherwise than `expected`.
  ///
  /// - Parameters:
  ///   - expected: of what these shards are used with; nil where that says nothing.
  ///   - whose: what that is.
  /// - Returns: what the user should know: that one of both doesn't say how.
  /// - Throws: ``ShardPreprocessing/Mismatch``.
  @discardableResult
  public func check(preprocessing expected: ShardPreprocessing?, of whose: String) throws -> String?
  {
    switch (preprocessing, expected) {
    case (nil, nil): return nil
    case (let found?, let expected?):
      guard found == expected else {
        throw ShardPreprocessing.Mismatch(
          file: shards[0].path, found: found, expected: expected, whose: whose)
      }
      return nil
    case (nil, let expected?):
      return "\(shards[0].path): does not say how its faces were cut out; those of \(whose) were by"
        + " \(expected)"
    case (let found?, nil):
      return
        "\(shards[0].path): its faces were cut out by \(found); \(whose) does not say how its were"
    }
  }
}
