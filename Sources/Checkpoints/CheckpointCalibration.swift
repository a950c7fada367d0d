import Foundation
import Foundations
import MessagePassing
import Networks

extension Checkpoint {
  /// Gives the checkpoint another calibration, in its place: whole at every moment, as
  /// ``CheckpointStore`` promises. Links to it stay.
  ///
  /// - Returns: the checkpoint as it is now.
  /// - Throws: ``CheckpointError`` where a training is at work in its run folder, `FileError`.
  @discardableResult
  public func calibrated(with calibration: Calibration) throws -> Checkpoint {
    let folder = URL(filePath: path).resolvingSymlinksInPath().standardizedFileURL
    let parent = folder.deletingLastPathComponent()
    let run = parent.deletingLastPathComponent().path
    var lock: FolderLock?
    if FileManager.default.fileExists(atPath: "\(run)/.lock") {
      do {
        lock = try FolderLock(run, file: ".lock", keepsFile: true, patience: 2)
      } catch is FolderLock.Held {
        throw CheckpointError(
          path: path,
          problem:
            "a training is at work in \(printable(run, limit: 400)), so its checkpoints can't be "
            + "changed: wait for it to end, or write calibrated weights elsewhere with --output")
      }
    }
    defer { withExtendedLifetime(lock) {} }
    var state = state
    state.detector.calibration = calibration
    return try CheckpointStore(path: parent.path).replace(folder.lastPathComponent, self, by: state)
  }
}

extension CheckpointStore {
  /// Puts a checkpoint with another state, and the metadata that come of it, in the place of one.
  fileprivate func replace(
    _ name: String, _ checkpoint: Checkpoint, by state: CheckpointState
  ) throws -> Checkpoint {
    let beside = "\(path)/.\(name).\(getpid()).partial"
    try removeFolder(beside)
    guard mkdir(beside, 0o755) == 0 else { throw FileError(operation: "create", path: beside) }
    do {
      var files = checkpoint.files
      for file in files.keys.sorted() where file != Checkpoint.modelName {
        let copy = "\(beside)/\(file)"
        do {
          try FileManager.default.copyItem(atPath: "\(checkpoint.path)/\(file)", toPath: copy)
        } catch {
          throw FileError(operation: "write", path: copy, cause: error)
        }
        try DurableFile.synchroniseFile(copy)
        RankStatus.progress()
      }
      let model = "\(beside)/\(Checkpoint.modelName)"
      try Safetensors.write(
        checkpoint.model(), metadata: WeightsUse(state.detector).metadata, to: model)
      files[Checkpoint.modelName] = try SHA256.hexadecimal(ofFile: model)
      try DurableFile.write(
        Checkpoint.text(of: state, files: files), to: "\(beside)/\(Checkpoint.stateName)")
      try DurableFile.synchroniseFolder(beside)
      try exchange(beside, "\(path)/\(name)")
    } catch {
      try? removeFolder(beside)
      throw error
    }
    try DurableFile.synchroniseFolder(path)
    try? removeFolder(beside)
    return try Checkpoint(readingStateOf: "\(path)/\(name)")
  }
}
