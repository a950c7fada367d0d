import Checkpoints
import FaceShards
import Foundations
import MessagePassing
import Tensors

/// Computes prototypes of a detector on shards and writes them.
public struct PrototypesJob {
  /// Collective. Rank 0 writes and gets what it wrote, the others nil.
  ///
  /// - Parameter warn: told of what the user should know, a line at a time.
  /// - Throws: what reading shards throws, ``NonFiniteMap``, `FileError`, `HDF5Error`, `MPIError`.
  public static func run(
    _ loaded: LoadedDetector, data: [String], imagesPerMethod: Int, output: String, batch: Int,
    communicator: Communicator, workers: WorkerPool, warn: (String) -> Void = { _ in }
  ) throws -> PrototypesFile? {
    let set = try loaded.open(data, communicator: communicator, tell: warn)
    try JobOutput.makeFolder(DurableFile.folder(of: output), communicator)
    let pass = DatasetPass(loaded, batch: batch, communicator: communicator, workers: workers)
    var progress: ProgressLine?
    RankStatus.enter(.mapping)
    let survey = try PrototypeSurvey(
      pass, set, imagesPerMethod: imagesPerMethod, communicator: communicator
    ) { done, total in
      if communicator.isRoot {
        if progress == nil { progress = ProgressLine("image", total: total) }
        progress?.update(done)
      }
    }
    progress?.finish()
    if survey.notFinite > 0 {
      warn("the maps of \(survey.notFinite) images are not finite; the prototypes do without them")
    }
    guard communicator.isRoot else { return nil }
    let file = PrototypesFile(
      survey.prototypes,
      origin: .init(
        model: loaded.detector.form.description, checkpoint: loaded.source,
        step: loaded.checkpoint?.state.step, weights: loaded.detector.contents.text,
        patterns: data, imagesPerMethod: imagesPerMethod),
      calibration: survey.calibration, meanFaces: survey.meanFaces)
    try file.write(to: output)
    return file
  }
}
