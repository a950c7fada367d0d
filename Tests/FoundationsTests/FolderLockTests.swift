import Foundation
import Synchronization
import Testing

@testable import Foundations

@Suite struct FolderLockTests {
  private let base = FileManager.default.temporaryDirectory
    .appendingPathComponent("rfm-lock-\(UUID().uuidString)").path

  private func names(_ folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder))?.sorted() ?? ["no folder"]
  }

  @Test func oneOfManyHasTheLockAndARefusedOneTakesNothingAway() throws {
    defer { try? FileManager.default.removeItem(atPath: base) }
    var first: FolderLock? = try FolderLock(base, file: ".lock")
    #expect(first?.isExclusive == true)
    for _ in 0..<3 {
      #expect(throws: FolderLock.Held(folder: base)) { try FolderLock(base, file: ".lock") }
      #expect(names(base) == [".lock"])
    }
    first = nil
    #expect(names(base) == [])
    #expect(throws: Never.self) { try FolderLock(base, file: ".lock") }
  }

  /// Threads that take the lock, go and come again, while the folder itself comes and goes.
  @Test(arguments: [false, true])
  func neverHaveTwoTheLockAtOnce(keepsFile: Bool) throws {
    defer { try? FileManager.default.removeItem(atPath: base) }
    let folder = base + "/made/by/lock"
    let holders = Atomic<Int>(0)
    let most = Atomic<Int>(0)
    let taken = Atomic<Int>(0)
    let failures = Mutex<[String]>([])
    let done = DispatchGroup()
    for thread in 0..<8 {
      done.enter()
      Thread.detachNewThread {
        for round in 0..<150 {
          do {
            let lock = try FolderLock(folder, file: ".lock", keepsFile: keepsFile)
            let now = holders.wrappingAdd(1, ordering: .relaxed).newValue
            most.max(now, ordering: .relaxed)
            taken.wrappingAdd(1, ordering: .relaxed)
            if round % 3 == 0 { usleep(200) }
            holders.wrappingSubtract(1, ordering: .relaxed)
            if (round + thread) % 5 == 0 { lock.removeMadeFolders() }
            withExtendedLifetime(lock) {}
          } catch is FolderLock.Held {
            usleep(50)
          } catch {
            failures.withLock { $0.append("\(error)") }
          }
        }
        done.leave()
      }
    }
    done.wait()
    #expect(failures.withLock { $0 } == [])
    #expect(most.load(ordering: .relaxed) == 1)
    #expect(taken.load(ordering: .relaxed) > 0)
  }

  /// What another process does: `flock` of util-linux takes the same lock.
  @Test func otherProcessesAreKeptOutAndWaitedFor() throws {
    defer { try? FileManager.default.removeItem(atPath: base) }
    try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
    let other = Process()
    other.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
    other.arguments = [base + "/.lock", "/bin/cat"]
    let (input, output) = (Pipe(), Pipe())
    (other.standardInput, other.standardOutput) = (input, output)
    try other.run()
    try input.fileHandleForWriting.write(contentsOf: Data("x".utf8))
    // It has the lock once the program that it holds it for runs.
    #expect(try output.fileHandleForReading.read(upToCount: 1) == Data("x".utf8))
    #expect(throws: FolderLock.Held.self) { try FolderLock(base, file: ".lock", patience: 0.05) }
    try input.fileHandleForWriting.close()
    #expect(throws: Never.self) { try FolderLock(base, file: ".lock", patience: 60) }
    other.waitUntilExit()
  }

  @Test func aFileThatAnotherHasRemovedMeanwhileIsNotTheLock() throws {
    defer { try? FileManager.default.removeItem(atPath: base) }
    var calls = 0
    let lock = try FolderLock(base, file: ".lock", keepsFile: false, patience: 0) { descriptor in
      calls += 1
      // Between opening and locking the holder goes, and takes the file with it.
      if calls == 1 { unlink(base + "/.lock") }
      return flock(descriptor, LOCK_EX | LOCK_NB)
    }
    #expect(calls == 2)
    #expect(throws: FolderLock.Held.self) { try FolderLock(base, file: ".lock") }
    withExtendedLifetime(lock) {}
  }

  @Test func whereThereAreNoLocksThatIsSaid() throws {
    defer { try? FileManager.default.removeItem(atPath: base) }
    for code in [ENOLCK, EOPNOTSUPP, ENOSYS] {
      let lock = try FolderLock(base, file: ".lock", keepsFile: false, patience: 0) { _ in
        errno = code
        return -1
      }
      #expect(!lock.isExclusive)
    }
  }

  @Test func foldersMadeInVainAreRemovedAgain() throws {
    defer { try? FileManager.default.removeItem(atPath: base) }
    let lock = try FolderLock(base + "/a/b", file: ".lock")
    #expect(lock.made == [base, base + "/a", base + "/a/b"])
    lock.removeMadeFolders()
    #expect(names(base) == ["no folder"])
    let kept = try FolderLock(base, file: ".lock")
    try Data().write(to: URL(fileURLWithPath: base + "/x"))
    kept.removeMadeFolders()
    #expect(names(base) == ["x"])
  }

  @Test func whatCannotBeMadeIsNamed() throws {
    defer { try? FileManager.default.removeItem(atPath: base) }
    try Data().write(to: URL(fileURLWithPath: base))
    let error = #expect(throws: FileError.self) { try FolderLock(base + "/a", file: ".lock") }
    #expect(error?.path.hasPrefix(base) == true)
  }
}
