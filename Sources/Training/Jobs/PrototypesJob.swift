import FaceShards
import MessagePassing
import Networks
import Tensors

/// Computes prototypes of a detector on shards and writes them.
public struct PrototypesJob {
  /// Collective. Rank 0 writes and gets what it wrote, the others nil.
  ///
  /// - Throws: what reading shards throws, `FileError`, `HDF5Error`, `MPIError`.
  public static func run(
    _ loaded: LoadedDetector, data: [String], imagesPerMethod: Int, output: String, batch: Int,
    communicator: Communicator, workers: WorkerPool
  ) throws -> PrototypesFile? {
    let set = try SharedShards.open(data, communicator: communicator)
    try JobOutput.makeFolder(DurableFile.folder(of: output), communicator)
    let pass = DatasetPass(loaded, batch: batch, communicator: communicator, workers: workers)
    var progress: Progress?
    Whereabouts.enter(.mapping)
    let survey = try PrototypeSurvey(
      pass, set, imagesPerMethod: imagesPerMethod, communicator: communicator
    ) { done, total in
      if communicator.isRoot {
        if progress == nil { progress = Progress("image", total: total) }
        progress?.update(done)
      }
    }
    progress?.finish()
    guard communicator.isRoot else { return nil }
    let file = PrototypesFile(
      survey.prototypes,
      origin: .init(
        model: loaded.detector.name.rawValue, checkpoint: loaded.source,
        step: loaded.checkpoint?.state.step, data: data.joined(separator: ", "),
        imagesPerMethod: imagesPerMethod),
      calibration: survey.calibration, meanFaces: survey.meanFaces)
    try file.write(to: output)
    return file
  }
}
