import Checkpoints
import FaceShards
import Foundation
import Foundations
import HierarchicalData
import MessagePassing
import Tensors

/// Writes every image's map and logits to an HDF5 file: `attention` float32 (N, h, w), not
/// normalised, at crop size, and `logits` float32 (N, 2), in shard order.
public struct AttentionJob {
  /// Images that rank 0 gathers at a time.
  private static let round = 256

  /// Collective. Memory is bounded whatever the number of images.
  ///
  /// - Returns: the number of images.
  /// - Throws: what reading shards throws, `HDF5Error`, `FileError`, `MPIError`.
  @discardableResult
  public static func run(
    _ loaded: LoadedDetector, data: [String], kind: AttentionKind, output: String, batch: Int,
    communicator: Communicator, workers: WorkerPool, warn: (String) -> Void = { _ in }
  ) throws -> Int {
    let set = try loaded.open(data, communicator: communicator, tell: warn)
    let pass = DatasetPass(loaded, batch: batch, communicator: communicator, workers: workers)
    let crop = loaded.crop
    let pixels = crop * crop
    let beside = DurableFile.beside(output)
    var file: HDF5File?
    var maps: HDF5Dataset?
    var logits: HDF5Dataset?
    try JobOutput.makeFolder(DurableFile.folder(of: output), communicator)
    RankStatus.enter(.mapping)
    do {
      if communicator.isRoot {
        let created = try HDF5File.create(beside)
        maps = try created.createDataset(
          "attention", of: Float.self, shape: [set.count, crop, crop],
          layout: HDF5Layout(chunk: [1, crop, crop], fletcher32: true))
        logits = try created.createDataset("logits", of: Float.self, shape: [set.count, 2])
        try created.setAttribute("kind", .string(kind.rawValue))
        try created.setAttribute("checkpoint", .string(loaded.source))
        file = consume created
      }
      let progress = communicator.isRoot ? ProgressLine("image", total: set.count) : nil
      for start in stride(from: 0, to: set.count, by: round) {
        let range = start..<min(set.count, start + round)
        var mapValues: [Float] = []
        var logitValues: [Float] = []
        mapValues.reserveCapacity(round * pixels / communicator.size)
        try communicator.agreed {
          try pass.maps(kind, set, pass.part(Array(range))) { image in
            mapValues.append(contentsOf: image.map)
            logitValues += [image.logits.real, image.logits.fake]
          }
        }
        let gatheredMaps = try communicator.gather(mapValues)
        let gatheredLogits = try communicator.gather(logitValues)
        if let gatheredMaps, let gatheredLogits, let maps, let logits {
          try gatheredMaps.flatMap { $0 }.withUnsafeBufferPointer {
            try maps.writeRows(range, from: $0)
          }
          try gatheredLogits.flatMap { $0 }.withUnsafeBufferPointer {
            try logits.writeRows(range, from: $0)
          }
        }
        progress?.update(range.upperBound)
      }
      progress?.finish()
      if let file = file.take() {
        try file.flush()
        maps = nil
        logits = nil
        try file.close()
        try DurableFile.settle(beside, as: output)
      }
    } catch {
      if communicator.isRoot { unlink(beside) }
      throw error
    }
    return set.count
  }
}
