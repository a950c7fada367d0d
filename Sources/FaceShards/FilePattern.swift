import Foundation

/// File patterns as the shell knows them: `*`, `?`, `[…]`, `{a,b}` and `~`.
public enum FilePattern {
  /// The files that match any of `patterns`, each once, in the order of their paths' bytes.
  ///
  /// Throws if a pattern matches nothing, naming it, and if it matches a folder.
  public static func expand(_ patterns: [String]) throws -> [String] {
    var paths = Set<String>()
    for pattern in patterns {
      let matches = matches(pattern)
      if matches.isEmpty {
        let isPlain = !pattern.contains { "*?[{".contains($0) }
        throw ShardError(
          file: pattern, reason: isPlain ? "no such file" : "no file matches this pattern",
          isInputOutput: true)
      }
      for path in matches {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
          throw ShardError(
            file: path, reason: "it is a folder; name the files in it, as in \(path)/*.h5")
        }
      }
      paths.formUnion(matches)
    }
    return paths.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  private static func matches(_ pattern: String) -> [String] {
    // A file whose very name looks like a pattern is meant by that name.
    if access(pattern, F_OK) == 0 { return [pattern] }
    var result = glob_t()
    defer { globfree(&result) }
    guard glob(pattern, GLOB_BRACE | GLOB_TILDE | GLOB_NOSORT, nil, &result) == 0 else { return [] }
    return (0..<Int(result.gl_pathc)).compactMap { result.gl_pathv[$0].map { String(cString: $0) } }
  }
}
