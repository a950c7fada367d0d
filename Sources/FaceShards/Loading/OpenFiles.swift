import Glibc
import HierarchicalData
import Synchronization

/// Shards that are open for reading rows past the library, of a whole process: as many as it may have open,
/// and of more those that were used last.
///
/// In random order over thousands of shards the next image is in any of them, so what may stay open stays
/// open: half of what the system allows (`RLIMIT_NOFILE`), whose soft limit is raised as far as there are
/// shards for it. The other half is left to MPI, which has a connection a rank, and to the library.
final class OpenFiles: Sendable {
  static let shared = OpenFiles()

  /// A file that is open as long as somebody reads it.
  final class File: Sendable {
    let descriptor: Int32
    fileprivate init(descriptor: Int32) { self.descriptor = descriptor }
    deinit { Glibc.close(descriptor) }
  }

  private struct State {
    var files: [Int: (file: File, use: Int)] = [:]
    var uses = 0
    var keys = 0
    var opened = 0
  }

  private let fixedLimit: Int?
  private let state = Mutex(State())

  /// - Parameter limit: of files; `nil` for what the system allows.
  init(limit: Int? = nil) { fixedLimit = limit }

  /// A number to know a file by.
  func newKey() -> Int {
    state.withLock { state in
      state.keys += 1
      return state.keys
    }
  }

  /// Files that are kept open at this moment, and how many were opened so far.
  var counts: (open: Int, opened: Int) { state.withLock { ($0.files.count, $0.opened) } }

  /// The file, opened if it is not open.
  ///
  /// - Parameter identity: what it must be.
  /// - Returns: `nil` if it is another file now.
  /// - Throws: ``ShardError`` if the system refuses.
  func file(_ key: Int, path: String, identity: FileStamp) throws(ShardError) -> File? {
    let known = state.withLock { state -> File? in
      guard let file = state.files[key]?.file else { return nil }
      state.uses += 1
      state.files[key]!.use = state.uses
      return file
    }
    if let known { return known }
    let file = try File(descriptor: open(path))
    guard FileStamp(of: file.descriptor) == identity else { return nil }
    state.withLock { state in
      makeRoom(&state)
      state.uses += 1
      state.opened += 1
      state.files[key] = (file, state.uses)
    }
    return file
  }

  func close(_ key: Int) { state.withLock { $0.files[key] = nil } }

  private func open(_ path: String) throws(ShardError) -> Int32 {
    var descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 && (errno == EMFILE || errno == ENFILE) {
      state.withLock { state in
        let half = state.files.count / 2
        Self.closeLongestUnused(&state, leaving: half)
      }
      descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    }
    guard descriptor >= 0 else {
      throw ShardError(
        file: path, reason: "cannot open: \(String(cString: strerror(errno)))", isInputOutput: true)
    }
    return descriptor
  }

  /// Lets the longest unused go, and some more of them, so that they are not sorted for each.
  private func makeRoom(_ state: inout State) {
    let limit = fixedLimit ?? Self.allowed
    if state.files.count >= limit {
      Self.closeLongestUnused(&state, leaving: max(0, limit - 1 - limit / 8))
    }
  }

  private static func closeLongestUnused(_ state: inout State, leaving count: Int) {
    let ages = state.files.sorted { $0.value.use < $1.value.use }
    for (key, _) in ages.prefix(max(0, ages.count - count)) { state.files[key] = nil }
  }

  // MARK: What the system allows

  private static var allowed: Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 128 }
    return max(1, Int(clamping: limit.rlim_cur) / 2)
  }

  /// Raises the limit of this process, as far as it may, so that so many shards can be open.
  static func makeRoom(for shards: Int) {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0, allowed < shards else { return }
    limit.rlim_cur = min(limit.rlim_max, rlim_t(2 * shards + 1024))
    _ = setrlimit(resource, &limit)
  }
}
