import Foundation
import Foundations
import HierarchicalData

/// The folder that shards are written into: one job writes at a time, and all shards of a job take
/// their names together.
///
/// Shards grow in a hidden folder inside, `.packing`, and get their names when all are on the disk.
/// A file there, `.packing/commit`, says first which names they get and which earlier shards go; from
/// its renaming on, the exchange is decided. Whenever the process dies, the folder holds either the
/// earlier shards, or what is needed to complete the exchange: whoever opens the folder to write
/// completes it before anything else, and readers refuse the folder until then
/// (``requireSettled(_:)``). So never are shards of two data sets read as one.
public final class ShardOutput {
  /// Another job writes into the folder.
  public struct InUse: ReportableError {
    public let folder: String
    public var description: String {
      "\(folder): another rfm pack or rfm synthesize is writing here; wait for its end"
    }
    public var exitStatus: ExitStatus { .usage }
  }

  public let folder: String
  /// What the user should know of the folder, if anything.
  public let note: String?
  private let lock: FolderLock

  /// Where the shards of a job grow.
  public var staging: String { Self.staging(of: folder) }

  /// Where the shards of a job that writes into `folder` grow.
  public static func staging(of folder: String) -> String { folder + "/.packing" }

  private static func journal(of folder: String) -> String { staging(of: folder) + "/commit" }

  /// Makes the folder where there is none, takes it for this job, and completes what one before was
  /// killed at.
  ///
  /// - Throws: ``InUse``, `FileError`, ``ShardError``.
  public init(opening folder: String) throws {
    do {
      lock = try FolderLock(folder, file: ".packing.lock")
    } catch is FolderLock.Held {
      throw InUse(folder: folder)
    }
    self.folder = folder
    note =
      lock.isExclusive
      ? nil
      : "\(folder): its file system knows no locks, so nothing keeps another rfm pack out of this"
        + " folder; start only one"
    try complete()
  }

  /// Names of the shards of these splits in the folder, `SPLIT-NUMBER.h5`, sorted.
  public func shards(of splits: [String]) throws -> [String] {
    try names().filter { name in Self.split(of: name).map(splits.contains) ?? false }
  }

  /// Names of shards of other splits in the folder.
  public func shards(besides splits: [String]) throws -> [String] {
    try names().filter { name in Self.split(of: name).map { !splits.contains($0) } ?? false }
  }

  private func names() throws -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    } catch {
      throw FileError(operation: "list", path: folder, cause: error)
    }
  }

  /// The split in a shard's name, `SPLIT-NUMBER.h5`; nil for other names.
  static func split(of name: String) -> String? {
    guard name.hasSuffix(".h5"), let dash = name.lastIndex(of: "-"), dash > name.startIndex else {
      return nil
    }
    let digits = name[name.index(after: dash)...].dropLast(3)
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return String(name[..<dash])
  }

  /// Makes the folder in which the shards grow, in place of one that a job which was killed has left.
  public func stage() throws {
    try removeStaging()
    guard mkdir(staging, 0o777) == 0 else {
      throw FileError(operation: "create the folder", path: staging)
    }
  }

  /// What ``stage(for:)`` found.
  enum Staged: Equatable {
    case new
    /// The work of an earlier job with the same plan.
    case resumed
    /// Nothing; the work of an earlier job with another plan is gone.
    case replaced
  }

  /// The same, but keeps what an earlier job has left that had the same plan.
  ///
  /// - Parameter plan: tells plans apart.
  func stage(for plan: String) throws -> Staged {
    let file = staging + "/plan"
    let earlier = FileManager.default.contents(atPath: file)
    if earlier == Data(plan.utf8) { return .resumed }
    let hadWork = PackStaging.holdsWork(staging)
    try stage()
    try DurableFile.write(plan, to: file)
    return hadWork ? .replaced : .new
  }

  /// Removes what has been staged, and the folders that were made if nothing is in them.
  public func abandon() {
    // A decided exchange is completed by the next job.
    guard access(Self.journal(of: folder), F_OK) != 0 else { return }
    try? removeStaging()
    lock.removeMadeFolders()
  }

  private func removeStaging() throws {
    do {
      try FileManager.default.removeItem(atPath: staging)
    } catch {
      guard access(staging, F_OK) != 0 else {
        throw FileError(operation: "remove", path: staging, cause: error)
      }
    }
  }

  /// Shards of a split from which on their index is kept beside them: fewer are opened within a second.
  static let indexedFrom = 256

  /// Gives staged shards their names, in place of all earlier shards of these splits. They must have
  /// reached the disk, as ``ShardWriter/finish()`` sees to. Where they are many, their index is kept beside
  /// them (``ShardIndexFile``).
  ///
  /// - Parameter shards: names in ``staging``, and the final ones.
  public func publish(_ shards: [(staged: String, name: String)], of splits: [String]) throws {
    let indexed = try splits.map { try paths(of: $0) }.filter { !$0.isEmpty }
    try decide(shards, of: splits)
    do {
      try complete()
    } catch let error as FileError {
      throw ShardError(
        file: folder,
        reason: "not all new shards could take their names (\(error)); none is lost: when that is"
          + " mended, start again, which completes it before anything else", isInputOutput: true)
    }
    for earlier in indexed { unlink(ShardIndexFile.path(of: earlier)) }
    for split in splits where try paths(of: split).count >= Self.indexedFrom {
      // The shards are whole without it, only sooner known with it.
      _ = try? ShardIndexFile(writing: ["\(folder)/\(split)-*.h5"])
    }
  }

  private func paths(of split: String) throws -> [String] {
    try shards(of: [split]).map { "\(folder)/\($0)" }
  }

  /// The first half of ``publish(_:of:)``: from now on the new shards count.
  func decide(_ shards: [(staged: String, name: String)], of splits: [String]) throws {
    let new = Set(shards.map(\.name))
    let journal = Journal(
      puts: shards, removals: try self.shards(of: splits).filter { !new.contains($0) })
    // The folder in which the shards lie must survive a loss of power before what speaks of them.
    try DurableFile.synchroniseFolder(staging)
    try DurableFile.synchroniseFolder(folder)
    try DurableFile.write(journal.text, to: Self.journal(of: folder))
  }

  /// The second half of ``publish(_:of:)``, from wherever it was cut off.
  ///
  /// - Parameter limit: changes after which it stops short, as if killed; nil for none.
  func complete(stoppingAfter limit: Int? = nil) throws {
    let path = Self.journal(of: folder)
    guard access(path, F_OK) == 0 else { return }
    let journal = try Journal(reading: path)
    // Before anything is changed.
    for (staged, name) in journal.puts
    where access("\(staging)/\(staged)", F_OK) != 0 && access("\(folder)/\(name)", F_OK) != 0 {
      throw ShardError(
        file: path,
        reason: "an exchange of shards was cut off, and \(staged), which was to become \(name), is"
          + " gone: remove \(staging) and the shards in \(folder), and pack again")
    }
    var changes = 0
    func mayGoOn() -> Bool {
      changes += 1
      return limit.map { changes <= $0 } ?? true
    }
    for (staged, name) in journal.puts where access("\(staging)/\(staged)", F_OK) == 0 {
      guard mayGoOn() else { return }
      guard rename("\(staging)/\(staged)", "\(folder)/\(name)") == 0 else {
        throw FileError(operation: "rename to", path: "\(folder)/\(name)")
      }
    }
    for name in journal.removals where access("\(folder)/\(name)", F_OK) == 0 {
      guard mayGoOn() else { return }
      guard unlink("\(folder)/\(name)") == 0 else {
        throw FileError(operation: "remove", path: "\(folder)/\(name)")
      }
    }
    try DurableFile.synchroniseFolder(folder)
    guard mayGoOn() else { return }
    guard unlink(path) == 0 else { throw FileError(operation: "remove", path: path) }
    try DurableFile.synchroniseFolder(staging)
    try removeStaging()
  }

  /// What an exchange does, as it is kept while it lasts: one change a line.
  private struct Journal {
    private static let head = "rfm-shards 1"
    private static let end = "end"

    var puts: [(staged: String, name: String)]
    var removals: [String]

    init(puts: [(staged: String, name: String)], removals: [String]) {
      (self.puts, self.removals) = (puts, removals)
    }

    var text: String {
      let lines =
        [Self.head] + puts.map { "put \($0.staged) \($0.name)" } + removals.map { "remove \($0)" }
        + [Self.end]
      return lines.joined(separator: "\n") + "\n"
    }

    init(reading path: String) throws {
      guard let bytes = FileManager.default.contents(atPath: path) else {
        throw FileError(operation: "read", path: path)
      }
      (puts, removals) = ([], [])
      var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
      guard lines.first == Self.head, lines.last == Self.end, lines.count >= 2 else {
        throw Self.damage(path)
      }
      lines = Array(lines.dropFirst().dropLast())
      for line in lines {
        let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        // Names of shards and nothing else: it must not move anything out of the folder.
        guard words.dropFirst().allSatisfy({ $0.hasSuffix(".h5") && !$0.contains("/") }) else {
          throw Self.damage(path)
        }
        switch (words[0], words.count) {
        case ("put", 3): puts.append((words[1], words[2]))
        case ("remove", 2): removals.append(words[1])
        default: throw Self.damage(path)
        }
      }
    }

    private static func damage(_ path: String) -> ShardError {
      ShardError(
        file: path,
        reason: "it is not what rfm writes to complete an exchange of shards: remove the folder it"
          + " lies in and the shards beside that, and pack again")
    }
  }

  // MARK: For readers

  /// Throws if the shards at `paths` are just being replaced, or that was cut off: they would be some
  /// of one data set and some of another.
  public static func requireSettled(_ paths: [String]) throws {
    var seen = Set<String>()
    for path in paths {
      // The folder that the file itself lies in, where `path` is a link.
      var place = path
      if let real = realpath(path, nil) {
        place = String(cString: real)
        free(real)
      }
      let folder = DurableFile.folder(of: place)
      guard seen.insert(folder).inserted, access(journal(of: folder), F_OK) == 0 else { continue }
      throw ShardError(
        file: DurableFile.folder(of: path),
        reason:
          "its shards are being replaced, or that was cut off before its end: wait for the rfm"
          + " pack or rfm synthesize that runs there; if none does, start it again with this folder"
          + " as its --output, which completes the exchange before anything else")
    }
  }

  /// Which files lie at `paths`: differs as soon as one is replaced.
  static func identities(_ paths: [String]) -> [FileStamp?] {
    paths.map { FileStamp(of: $0) }
  }
}
