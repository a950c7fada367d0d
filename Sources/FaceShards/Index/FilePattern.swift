import Foundation
import Foundations

/// File patterns as the shell knows them: `*`, `?`, `[…]`, `{a,b}` and `~`.
public enum FilePattern {
  /// The files that match any of `patterns`, each once, in the order of their paths' bytes. Paths
  /// whose bytes differ are different files, however alike they look.
  ///
  /// Throws if a pattern matches nothing, naming it, if it matches a folder, and if it matches a name
  /// that is not UTF-8: as a text it would name another file.
  public static func expand(_ patterns: [String]) throws -> [String] {
    var paths = Set<BytePath>()
    for pattern in patterns {
      let matches = matches(pattern)
      if matches.isEmpty {
        let isPlain = !pattern.unicodeScalars.contains { "*?[{".unicodeScalars.contains($0) }
        throw ShardError(
          file: pattern, reason: isPlain ? "no such file" : "no file matches this pattern",
          isInputOutput: true)
      }
      for path in matches {
        guard String(validating: path.bytes, as: UTF8.self) != nil else {
          throw ShardError(
            file: path.description, reason: "its name is not UTF-8; rename it, as with convmv")
        }
        var status = stat()
        if path.withCString({ stat($0, &status) }) == 0, status.st_mode & S_IFMT == S_IFDIR {
          throw ShardError(
            file: path.description,
            reason: "it is a folder; name the files in it, as in \(path)/*.h5")
        }
      }
      paths.formUnion(matches)
    }
    return paths.sorted().map { String(decoding: $0.bytes, as: UTF8.self) }
  }

  private static func matches(_ pattern: String) -> [BytePath] {
    // A file whose very name looks like a pattern is meant by that name.
    if access(pattern, F_OK) == 0 { return [BytePath(pattern)] }
    var result = glob_t()
    defer { globfree(&result) }
    guard glob(pattern, GLOB_BRACE | GLOB_TILDE | GLOB_NOSORT, nil, &result) == 0 else { return [] }
    return (0..<Int(result.gl_pathc)).compactMap { place in
      result.gl_pathv[place].map { path in
        BytePath(
          bytes: path.withMemoryRebound(to: UInt8.self, capacity: strlen(path)) {
            Array(UnsafeBufferPointer(start: $0, count: strlen(path)))
          })
      }
    }
  }
}
