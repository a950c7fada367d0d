import Foundations
import Glibc

/// `metrics.jsonl`: one JSON object a line, in the order in which things were measured. Every
/// object has a `step`. A line is handed to the system whole as soon as it is there.
public final class MetricsFile {
  private let descriptor: Int32
  private let path: String
  private var line: [UInt8] = []

  /// Lines longer than this are taken for damage.
  private static let maximumLine = 16 << 20

  /// Opens the file for appending.
  ///
  /// - Parameters:
  ///   - step: lines of later steps are removed, since the training goes on from here; so is what
  ///     follows a line that was not written to its end. 0 empties the file.
  ///   - hasWorkPending: what was due after that step is still to be done: of its lines only the first,
  ///     of the step itself, stays.
  /// - Throws: `FileError`.
  public init(path: String, resumingAfter step: Int, hasWorkPending: Bool = false) throws {
    self.path = path
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0o644)
    guard descriptor >= 0 else { throw FileError(operation: "open", path: path) }
    let length =
      step == 0
      ? 0 : try Self.lengthOfLines(in: path, upTo: step, onlyFirstOfIt: hasWorkPending)
    guard ftruncate(descriptor, off_t(length)) == 0 else {
      throw FileError(operation: "shorten", path: path)
    }
  }

  deinit { close(descriptor) }

  /// Appends one line, or nothing.
  /// - Throws: `JSON.NotFinite`; `FileError`, also if the file has gone from its place: what is written
  ///   to it would be lost.
  public func append(_ object: JSON) throws {
    precondition(object["step"]?.integerValue != nil, "a line of metrics must have a step")
    line.removeAll(keepingCapacity: true)
    line.append(contentsOf: try object.line().utf8)
    line.append(UInt8(ascii: "\n"))
    let length = lseek(descriptor, 0, SEEK_END)
    try line.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let written = write(
          descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        if written < 0 {
          if errno == EINTR { continue }
          let failure = FileError(operation: "write", path: path)
          if length >= 0 { ftruncate(descriptor, length) }
          throw failure
        }
        rest = rest.dropFirst(written)
      }
    }
    try checkPlace()
  }

  /// Removed, renamed with its folder, unmounted: nothing that is written to it would be found.
  private func checkPlace() throws {
    var (mine, there) = (stat(), stat())
    guard fstat(descriptor, &mine) == 0, stat(path, &there) == 0 else {
      throw FileError(operation: "go on writing", path: path)
    }
    guard mine.st_ino == there.st_ino, mine.st_dev == there.st_dev else {
      throw FileError(operation: "go on writing", path: path, code: ESTALE)
    }
  }

  /// Waits until every line is on the disk.
  public func synchronise() throws {
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw FileError(operation: "flush", path: path)
    }
  }

  /// All lines of a file, for reports. A last line that was cut short is left out.
  /// - Throws: `FileError`; ``CheckpointError`` for a damaged line in the middle.
  public static func read(_ path: String) throws -> [JSON] {
    var objects: [JSON] = []
    try forEach(in: path) { objects.append($0) }
    return objects
  }

  /// Calls `body` with one line after another, as ``read(_:)`` gives them all.
  ///
  /// - Parameter damage: given the error of a line that holds something else; the next line follows
  ///   unless it throws.
  public static func forEach(
    in path: String, damage: (CheckpointError) throws -> Void = { throw $0 },
    _ body: (JSON) throws -> Void
  ) throws {
    var line = 0
    try forEachLine(in: path) { bytes, isWhole in
      guard isWhole else { return false }
      line += 1
      let object: JSON
      do {
        object = try JSON(parsing: bytes)
      } catch {
        try damage(CheckpointError(path: path, problem: "line \(line) \(error)"))
        return true
      }
      try body(object)
      return true
    }
  }

  /// How many bytes the whole lines up to `step` take, with all of its own or the first.
  private static func lengthOfLines(
    in path: String, upTo step: Int, onlyFirstOfIt: Bool
  ) throws -> Int {
    var length = 0
    try forEachLine(in: path) { bytes, isWhole in
      guard isWhole, let found = (try? JSON(parsing: bytes))?["step"]?.integerValue, found <= step
      else { return false }
      length += bytes.count + 1
      return !(onlyFirstOfIt && found == step)
    }
    return length
  }

  /// Calls `body` with every line, without its end, until it returns false; the second argument
  /// tells whether the line has an end.
  private static func forEachLine(
    in path: String, _ body: (ArraySlice<UInt8>, Bool) throws -> Bool
  ) throws {
    let reader = try FileReader(opening: path)
    var pending: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    var offset = 0
    while true {
      let count = try chunk.withUnsafeMutableBytes { try reader.read(into: $0, at: offset) }
      if count == 0 { break }
      offset += count
      pending.append(contentsOf: chunk[..<count])
      var start = 0
      while let end = pending[start...].firstIndex(of: UInt8(ascii: "\n")) {
        guard try body(pending[start..<end], true) else { return }
        start = end + 1
      }
      pending.removeSubrange(..<start)
      guard pending.count <= maximumLine else {
        throw FileError(operation: "read the lines of", path: path, code: EFBIG)
      }
    }
    if !pending.isEmpty { _ = try body(pending[...], false) }
  }
}
