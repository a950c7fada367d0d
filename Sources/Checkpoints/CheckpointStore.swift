import CFileNames
import Foundation
import Foundations
import MessagePassing
import Networks

/// The checkpoints of a run, `runs/NAME/checkpoints/`: folders `step-NNNNNNNN`, and links `latest`
/// and `best` to two of them.
///
/// What is promised: a folder with such a name is complete and on the disk. A checkpoint is written
/// in a folder beside (`.step-NNNNNNNN.PID.partial`), every file and the folder are flushed, and
/// then it gets its name; links change by renaming as well; what is removed loses its name first.
/// So whatever moment a process or a machine dies at, readers find whole checkpoints only, and the
/// newest one is older by at most one interval and the time that writing takes. Leftovers of the dead
/// are cleared away by ``resume(report:)``.
///
/// Which checkpoint is the best, the training decides by its validations (`Trainer.save`).
///
/// Only one process at a time may write, see ``RunFolder``.
public struct CheckpointStore: Sendable {
  public let path: String

  public init(path: String) { self.path = path }

  /// The folder of a step.
  public func folder(step: Int) -> String { "\(path)/\(Self.name(step: step))" }

  static func name(step: Int) -> String {
    let digits = String(step)
    return "step-" + String(repeating: "0", count: Swift.max(0, 8 - digits.count)) + digits
  }

  /// The steps that there are checkpoints of, ascending.
  /// - Throws: `FileError`.
  public func steps() throws -> [Int] {
    try names().compactMap { name in
      guard name.hasPrefix("step-"), let step = Int(name.dropFirst(5)), step >= 0,
        Self.name(step: step) == name
      else { return nil }
      return step
    }.sorted()
  }

  private func names() throws -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: path)
    } catch {
      throw FileError(operation: "list", path: path, cause: error)
    }
  }

  // MARK: Writing

  /// Writes a checkpoint and points `latest` to it, and `best` if told so. A checkpoint of the same
  /// step is replaced.
  ///
  /// - Parameters:
  ///   - average: the moving average of the weights and running statistics; nil: there is none.
  ///   - prototypes: writes `prototypes.h5` to the path it is given; nil: there is none.
  /// - Returns: the finished checkpoint.
  /// - Throws: `FileError`, or what the closure throws; then nothing has changed.
  @discardableResult
  public func write(
    _ state: CheckpointState, model: [NamedTensor], average: [NamedTensor]? = nil,
    optimizer: [NamedTensor], isBest: Bool,
    prototypes: ((String) throws -> Void)? = nil
  ) throws -> Checkpoint {
    let name = Self.name(step: state.step)
    let beside = "\(path)/.\(name).\(getpid()).partial"
    try removeFolder(beside)
    guard mkdir(beside, 0o755) == 0 else { throw FileError(operation: "create", path: beside) }
    var files: [String: String] = [:]
    do {
      func note(_ file: String) throws {
        RankStatus.progress()
        files[file] = try SHA256.hexadecimal(ofFile: "\(beside)/\(file)")
        RankStatus.progress()
      }
      let weightsFiles: [(String, [NamedTensor]?)] = [
        (Checkpoint.modelName, model), (Checkpoint.averageName, average),
      ]
      for case (let name, let weights?) in weightsFiles {
        try Safetensors.write(
          weights, metadata: WeightsUse(state.detector).metadata, to: "\(beside)/\(name)")
        try note(name)
      }
      try Safetensors.write(optimizer, to: "\(beside)/\(Checkpoint.optimizerName)")
      try note(Checkpoint.optimizerName)
      if let prototypes {
        let file = "\(beside)/\(Checkpoint.prototypesName)"
        try prototypes(file)
        try DurableFile.synchroniseFile(file)
        try note(Checkpoint.prototypesName)
      }
      try DurableFile.write(
        Checkpoint.text(of: state, files: files), to: "\(beside)/\(Checkpoint.stateName)")
      try DurableFile.synchroniseFolder(beside)
      try exchange(beside, folder(step: state.step))
    } catch {
      try? removeFolder(beside)
      throw error
    }
    try DurableFile.synchroniseFolder(path)
    try? removeFolder(beside)  // The earlier checkpoint of this step, if there was one.
    try link("latest", to: name)
    if isBest { try link("best", to: name) }
    return try Checkpoint(readingStateOf: folder(step: state.step))
  }

  /// Gives the folder `new` the name `final`; a folder of that name gets the name of `new`.
  func exchange(_ new: String, _ final: String) throws {
    if rename(new, final) == 0 { return }
    guard errno == ENOTEMPTY || errno == EEXIST else {
      throw FileError(operation: "rename to", path: final)
    }
    // Both at once, where the file system can do it.
    if rfm_exchange_names(new, final) == 0 { return }
    let old = new + ".old.partial"
    try removeFolder(old)
    guard rename(final, old) == 0 else { throw FileError(operation: "rename", path: final) }
    guard rename(new, final) == 0 else {
      let failure = FileError(operation: "rename to", path: final)
      _ = rename(old, final)
      throw failure
    }
    try? removeFolder(old)
  }

  /// Points `best` to the checkpoint of a step, if it is there: a training that was killed just before
  /// may have named a checkpoint the best and not have linked it.
  /// - Throws: `FileError`.
  package func pointBest(to step: Int) throws {
    guard bestStep != step, FileManager.default.fileExists(atPath: folder(step: step)) else {
      return
    }
    try link("best", to: Self.name(step: step))
  }

  /// Points the link `name` to the folder `target` of this store, at once.
  private func link(_ name: String, to target: String) throws {
    let place = "\(path)/\(name)"
    let beside = "\(path)/.\(name).\(getpid()).partial"
    _ = unlink(beside)
    guard symlink(target, beside) == 0 else { throw FileError(operation: "create", path: beside) }
    guard rename(beside, place) == 0 else {
      let failure = FileError(operation: "rename to", path: place)
      _ = unlink(beside)
      throw failure
    }
    try DurableFile.synchroniseFolder(path)
  }

  /// The step that the link `name` points to; nil where there is no such link or checkpoint.
  private func target(of name: String) -> Int? {
    guard
      let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(path)/\(name)"),
      target.hasPrefix("step-"), let step = Int(target.dropFirst(5)),
      Self.name(step: step) == target,
      FileManager.default.fileExists(atPath: folder(step: step))
    else { return nil }
    return step
  }

  /// The step that `latest` points to.
  public var latestStep: Int? { target(of: "latest") }
  /// The step that `best` points to.
  public var bestStep: Int? { target(of: "best") }

  /// Removes all checkpoints but the `count` newest and those that `latest` and `best` point to.
  /// - Throws: `FileError`.
  public func prune(keep count: Int) throws {
    precondition(count >= 1, "at least one checkpoint is kept, got \(count)")
    let protected = [latestStep, bestStep]
    for step in try steps().dropLast(count) where !protected.contains(step) {
      try remove(folder(step: step))
    }
  }

  /// Takes the name of a checkpoint away, then its files.
  private func remove(_ folder: String) throws {
    let name = folder.split(separator: "/").last!
    let beside = "\(path)/.\(name).\(getpid()).partial"
    try removeFolder(beside)
    guard rename(folder, beside) == 0 else { throw FileError(operation: "rename", path: folder) }
    try removeFolder(beside)
  }

  /// Removes a folder and what is in it, if it is there.
  func removeFolder(_ folder: String) throws {
    do {
      try FileManager.default.removeItem(atPath: folder)
    } catch {
      let failure = FileError(operation: "remove", path: folder, cause: error)
      guard failure.code == ENOENT else { throw failure }
    }
  }

  // MARK: Reading

  /// The best checkpoint, verified; nil where there is none, or it is damaged.
  public func best() -> Checkpoint? {
    bestStep.flatMap { try? Checkpoint(opening: folder(step: $0)) }
  }

  /// The newest checkpoint that is whole, to continue from; nil where there is none at all.
  ///
  /// What a killed training left half-written is removed. A newer checkpoint that is damaged gets
  /// the name `step-NNNNNNNN.damaged`, and `report` is told why in one line; `latest` then points to
  /// the one that is returned.
  ///
  /// One that may be whole but can't be read, because another rfm wrote it or this user may not, is
  /// left alone, and nothing is continued: an older one would not be what was asked for.
  ///
  /// - Throws: ``CheckpointError`` where all are damaged, ``UnknownCheckpointVersion``, `FileError`.
  public func resume(report: (String) -> Void) throws -> Checkpoint? {
    for name in try names() where name.hasPrefix(".") && name.hasSuffix(".partial") {
      try removeFolder("\(path)/\(name)")
    }
    let steps = try steps()
    var damaged: [Int] = []
    var last: (any Error)?
    for step in steps.reversed() {
      do {
        let checkpoint = try Checkpoint(opening: folder(step: step))
        guard checkpoint.state.step == step else {
          throw CheckpointError(
            path: checkpoint.path, problem: "holds the state of step \(checkpoint.state.step)")
        }
        for step in damaged {
          let place = folder(step: step) + ".damaged"
          try removeFolder(place)
          guard rename(folder(step: step), place) == 0 else {
            throw FileError(operation: "rename to", path: place)
          }
        }
        if latestStep != step { try link("latest", to: Self.name(step: step)) }
        if !damaged.isEmpty { report("continuing from step \(step), the newest that is whole") }
        return checkpoint
      } catch let error as UnknownCheckpointVersion {
        throw error
      } catch let error as FileError where [EACCES, EPERM].contains(error.code) {
        throw error
      } catch {
        damaged.append(step)
        last = error
        report("\(error)")
      }
    }
    guard let last else { return nil }
    throw CheckpointError(
      path: path,
      problem: "no checkpoint is whole (\(steps.count) damaged, the oldest because: \(last))")
  }
}
