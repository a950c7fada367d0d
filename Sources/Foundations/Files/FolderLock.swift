import Glibc

/// Keeps two jobs out of one folder: only one has the lock of a folder at a time, in this process or
/// another. It is held as long as the value lives; the system lets go of it when the process ends,
/// however that comes about.
///
/// The lock is the system's (`flock`) on a file in the folder. Whoever takes it looks whether the file
/// is still the one in its place: a holder that goes, or the folder's own removal, may have taken it
/// away meanwhile, and another made a new one. So the file can be removed by its holder, and nobody
/// holds a file that others don't see.
public final class FolderLock: Sendable {
  /// Another job has the lock.
  public struct Held: Error, Equatable, Sendable {
    public let folder: String
  }

  public let folder: String
  /// Folders that were not there before, the outermost first.
  public let made: [String]
  /// Whether others are kept out. False on file systems that know no locks (some of a network): then
  /// nothing is, and the user should be told so.
  public let isExclusive: Bool

  private let descriptor: Int32
  private let path: String
  private let keepsFile: Bool

  /// Takes the lock; makes the folder, and those that it lies in, where they are not there yet.
  ///
  /// - Parameters:
  ///   - name: of the file in the folder that is locked.
  ///   - keepsFile: whether the file stays when the lock is let go.
  ///   - patience: seconds to wait for another job to let go of it.
  /// - Throws: ``Held``, ``FileError``; then the folders that were made are gone again.
  public convenience init(
    _ folder: String, file name: String, keepsFile: Bool = false, patience: Double = 0
  ) throws {
    try self.init(folder, file: name, keepsFile: keepsFile, patience: patience) {
      flock($0, LOCK_EX | LOCK_NB)
    }
  }

  /// - Parameter lock: the system's call; 0, or -1 with `errno`.
  init(
    _ folder: String, file name: String, keepsFile: Bool, patience: Double, lock: (Int32) -> Int32
  ) throws {
    let path = "\(folder)/\(name)"
    var made: [String] = []
    do {
      let deadline = ContinuousClock.now + .seconds(patience)
      var taken: (descriptor: Int32, isExclusive: Bool)?
      var vanished = 0
      while taken == nil {
        made += Self.missingFolders(folder).filter { !made.contains($0) }
        do {
          try DurableFile.makeFolder(folder)
          taken = try Self.take(path, lock)
          if taken == nil, ContinuousClock.now >= deadline { throw Held(folder: folder) }
        } catch let error as FileError where error.code == ENOENT && vanished < 20 {
          // Another that had made the folder has removed it: it is made again.
          vanished += 1
        }
        if taken == nil { usleep(20_000) }
      }
      (descriptor, isExclusive) = taken!
    } catch {
      for folder in made.reversed() { rmdir(folder) }
      throw error
    }
    (self.folder, self.made, self.path, self.keepsFile) = (folder, made, path, keepsFile)
  }

  /// Whether some job has the lock of a folder, without taking it.
  ///
  /// - Returns: nil where that can't be told: there is no such file, or its file system knows no locks.
  public static func isHeld(_ folder: String, file name: String) -> Bool? {
    let descriptor = open("\(folder)/\(name)", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    // A job that wants it now tries again a moment later.
    if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return false }
    return errno == EWOULDBLOCK ? true : nil
  }

  deinit {
    // Before others can have it: only a holder removes the file.
    if !keepsFile, Self.isInPlace(descriptor, path) { unlink(path) }
    close(descriptor)
  }

  /// Removes the folders that were made, those that are empty but for the lock's file. To be called
  /// by whoever has written nothing after all; nothing else may be done with the folder then.
  public func removeMadeFolders() {
    guard made.contains(folder) else { return }
    if Self.isInPlace(descriptor, path) { unlink(path) }
    for folder in made.reversed() { rmdir(folder) }
  }

  /// Tries until the lock is taken; nil while another has it.
  private static func take(_ path: String, _ lock: (Int32) -> Int32) throws -> (
    descriptor: Int32, isExclusive: Bool
  )? {
    while true {
      // For writing too, which locks over NFS need.
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
      guard descriptor >= 0 else { throw FileError(operation: "create", path: path) }
      var result = lock(descriptor)
      while result != 0, errno == EINTR { result = lock(descriptor) }
      if result == 0 {
        if isInPlace(descriptor, path) { return (descriptor, true) }
        close(descriptor)
        continue
      }
      guard errno == EWOULDBLOCK else { return (descriptor, false) }
      close(descriptor)
      return nil
    }
  }

  /// Whether the file at `path` is the one that `descriptor` has open.
  private static func isInPlace(_ descriptor: Int32, _ path: String) -> Bool {
    var (own, there) = (stat(), stat())
    return fstat(descriptor, &own) == 0 && stat(path, &there) == 0 && own.st_ino == there.st_ino
      && own.st_dev == there.st_dev
  }

  /// Of `path` and the folders that it lies in, those that are not there, the outermost first.
  private static func missingFolders(_ path: String) -> [String] {
    var missing: [String] = []
    var folder = path
    while access(folder, F_OK) != 0, errno == ENOENT {
      missing.insert(folder, at: 0)
      let parent = DurableFile.folder(of: folder)
      if parent == folder { break }
      folder = parent
    }
    return missing
  }
}
