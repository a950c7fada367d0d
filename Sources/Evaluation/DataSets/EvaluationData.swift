import FaceShards
import Foundation
import Foundations

/// Shards to evaluate a detector on, and what they are called beside others.
public struct EvaluationData: Equatable, Sendable {
  /// A data set's name; nil where there is one alone, that needs none.
  public var name: String?
  /// Paths or patterns.
  public var patterns: [String]

  public init(name: String? = nil, patterns: [String]) {
    self.name = name
    self.patterns = patterns
  }

  /// Data that can't be taken as they were named.
  public enum Refusal: ReportableError, Equatable {
    case twice(name: String)
    case someUnnamed(pattern: String)
    /// All images of a data set are of one class.
    case oneClass(data: String, isFake: Bool)

    public var description: String {
      switch self {
      case .twice(let name):
        "--data: two data sets are called \(printable(name)): give each a name of its own, or take both "
          + "as one with a pattern such as \(printable(name))='{a,b}/test-*.h5'"
      case .someUnnamed(let pattern):
        "--data \(printable(pattern, limit: 400)) has no name, but others have: write "
          + "NAME=\(printable(pattern, limit: 400)), or leave out all names to take all as one set"
      case .oneClass(let data, let isFake):
        "\(printable(data, limit: 400)): all images are \(isFake ? "fake" : "real"), so nothing can be "
          + "said of how well they are told from \(isFake ? "real" : "fake") ones: add shards with "
          + "such, or leave this data set out"
      }
    }

    public var exitStatus: ExitStatus {
      switch self {
      case .twice, .someUnnamed: .usage
      case .oneClass: .badData
      }
    }
  }

  /// Splits an argument `NAME=GLOB`. A name has letters, digits, `.`, `_`, `+` and `-`; it is a folder's name
  /// too. What is there as it stands is a path, whatever its name.
  ///
  /// - Returns: the name, and the pattern; without a name all of it is the pattern.
  public static func split(_ argument: String) -> (name: String?, pattern: String) {
    guard let sign = argument.firstIndex(of: "="), sign != argument.startIndex,
      access(argument, F_OK) != 0
    else { return (nil, argument) }
    let name = argument[..<sign]
    let isName =
      name.unicodeScalars.allSatisfy {
        $0.isASCII
          && ($0.properties.isAlphabetic || $0.properties.numericType != nil
            || "._+-".unicodeScalars.contains($0))
      } && name.contains { $0 != "." }
    return isName
      ? (String(name), String(argument[argument.index(after: sign)...])) : (nil, argument)
  }

  /// Data sets of the arguments of `--data`: one of all patterns without a name, or each with its own.
  ///
  /// - Throws: ``Refusal``.
  public static func sets(
    of arguments: [(name: String?, pattern: String)]
  ) throws(Refusal) -> [EvaluationData] {
    guard arguments.contains(where: { $0.name != nil }) else {
      return [EvaluationData(patterns: arguments.map(\.pattern))]
    }
    var sets: [EvaluationData] = []
    for (name, pattern) in arguments {
      guard let name else { throw .someUnnamed(pattern: pattern) }
      // Folders' names may be the same whatever their case.
      if sets.contains(where: { $0.name?.lowercased() == name.lowercased() }) {
        throw .twice(name: name)
      }
      sets.append(EvaluationData(name: name, patterns: [pattern]))
    }
    return sets
  }

  /// As errors and progress call it.
  var title: String { name ?? patterns.joined(separator: ", ") }

  /// Whatever its figures are to be compared with needs both classes.
  func check(_ set: ShardSet) throws(Refusal) {
    guard name != nil else { return }
    let (hasReal, hasFake) = (set.labels.contains(0), set.labels.contains(1))
    if !hasReal || !hasFake { throw .oneClass(data: title, isFake: hasFake) }
  }
}
