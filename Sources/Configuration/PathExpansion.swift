import Foundation
import Foundations

/// `~` and variables in paths, which a shell replaces where it sees them: not in a file, not between
/// quotes (as patterns must be), and not in `--data=~/x`. Left as they are they would become folders
/// called so.
///
/// | written | becomes |
/// | --- | --- |
/// | `~` or `~/…` at the beginning | the home folder (`HOME`) |
/// | `${NAME}`, `$NAME` | the variable's value |
/// | `$$` | a dollar sign |
///
/// `~user`, and a variable that is not set or empty, are refused.
public enum PathExpansion {
  /// The value of a variable; nil where it is not set.
  public typealias Environment = @Sendable (String) -> String?

  /// This process's variables.
  public static let processEnvironment: Environment = { name in
    getenv(name).flatMap { String(validatingCString: $0) }
  }

  /// Why a path can't be expanded.
  public struct Failure: Error, CustomStringConvertible, Equatable {
    public let description: String
  }

  /// A path in a configuration, or one that is to be written.
  /// - Throws: ``Failure``.
  public static func expand(
    _ path: String, environment: Environment = processEnvironment
  ) throws -> String {
    var rest = Array(path.unicodeScalars)[...]
    var expanded = String.UnicodeScalarView()
    if rest.first == "~" {
      guard rest.count == 1 || rest.dropFirst().first == "/" else {
        let name = String(String.UnicodeScalarView(rest.prefix { $0 != "/" }))
        throw Failure(
          description: "'\(printable(name))' is not expanded: write the whole path, or "
            + "'./\(printable(name))' for a file of that name")
      }
      expanded.append(contentsOf: try value(of: "HOME", environment).unicodeScalars)
      rest = rest.dropFirst()
    }
    while let next = rest.popFirst() {
      guard next == "$" else {
        expanded.append(next)
        continue
      }
      if rest.first == "$" {
        rest = rest.dropFirst()
        expanded.append("$")
      } else if rest.first == "{" {
        let name = rest.dropFirst().prefix { $0 != "}" }
        guard isName(name), name.endIndex < rest.endIndex else {
          throw Failure(
            description: "'${' begins no variable such as ${HOME}; a dollar sign itself is "
              + "written $$")
        }
        try append(name)
        rest = rest[(name.endIndex + 1)...]
      } else {
        let name = rest.prefix(while: isNamed)
        guard isName(name) else {
          expanded.append("$")
          continue
        }
        try append(name)
        rest = rest[name.endIndex...]
      }
    }
    return String(expanded)

    func append(_ scalars: ArraySlice<Unicode.Scalar>) throws {
      let name = String(String.UnicodeScalarView(scalars))
      let value = try value(of: name, environment)
      guard !expanded.isEmpty || value.unicodeScalars.first != "~" else {
        throw Failure(
          description: "the variable \(name) is '\(printable(value))', whose '~' no shell expanded")
      }
      expanded.append(contentsOf: value.unicodeScalars)
    }
  }

  /// A path that is to be read: a file that is there under the very name is meant as it is, since a
  /// shell that completes names or expands a pattern quotes nothing.
  public static func expandUnlessThere(
    _ path: String, environment: Environment = processEnvironment
  ) throws -> String {
    let isHome = path == "~" || path.utf8.starts(with: "~/".utf8)
    var status = stat()
    if !isHome, lstat(path, &status) == 0 { return path }
    return try expand(path, environment: environment)
  }

  /// The text that ``expand(_:environment:)`` makes `path` of; `path` does not begin with `~`.
  static func escape(_ path: String) -> String {
    var escaped = String.UnicodeScalarView()
    for scalar in path.unicodeScalars {
      escaped.append(scalar)
      if scalar == "$" { escaped.append(scalar) }
    }
    return String(escaped)
  }

  private static func value(of name: String, _ environment: Environment) throws -> String {
    guard let value = environment(name) else {
      throw Failure(
        description: "the variable \(name) is not set"
          + (name == "HOME" ? "" : "; a dollar sign itself is written $$"))
    }
    guard !value.isEmpty else { throw Failure(description: "the variable \(name) is empty") }
    return value
  }

  private static func isNamed(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "A"..."Z", "a"..."z", "0"..."9", "_": true
    default: false
    }
  }

  /// Whether a variable may be called so.
  private static func isName(_ name: ArraySlice<Unicode.Scalar>) -> Bool {
    guard let first = name.first, !("0"..."9").contains(first) else { return false }
    return name.allSatisfy(isNamed)
  }
}
