import FaceShards
import Foundation
import Synchronization

/// Writes a synthetic data set as shards: all of it, or this process's part.
///
/// The pictures depend on the seed and their numbers only, so neither threads nor the number of parts change
/// a byte.
public struct ShardSynthesis: ShardJob {
  public let output: String
  public let plan: SynthesisPlan
  public let synthesizer: FaceSynthesizer

  public init(output: String, plan: SynthesisPlan, synthesizer: FaceSynthesizer) {
    self.output = output
    self.plan = plan
    self.synthesizer = synthesizer
  }

  public var splits: [String] { SynthesisPlan.splitNames }
  public var fileNames: [String] { plan.shards.map(\.fileName) }
  public var imageCount: Int { plan.count }

  public func write(
    part: Int, of parts: Int, threads: Int, progress: (_ done: Int, _ total: Int) -> Void
  ) throws {
    precondition(threads > 0, "ShardSynthesis: expected at least one thread")
    let shards = plan.shards(part: part, of: parts)
    let total = shards.reduce(0) { $0 + $1.pictures.count }
    let names = plan.methodNames
    var done = 0
    for shard in shards {
      let writer = try ShardWriter(
        path: ShardOutput.staging(of: output) + "/" + shard.fileName, height: synthesizer.size,
        width: synthesizer.size,
        methodNames: names, hasSources: true, hasMasks: true)
      // Enough at a time that no thread waits long for the last one.
      let step = 16 * threads
      for start in stride(from: 0, to: shard.pictures.count, by: step) {
        let batch = shard.pictures[start..<min(start + step, shard.pictures.count)]
        for (planned, made) in zip(batch, draw(batch, threads: threads)) {
          let method = planned.method.flatMap { names.firstIndex(of: $0.rawValue) } ?? 0
          try writer.append(
            image: made.image, method: method, source: planned.source, mask: made.mask)
        }
        done += batch.count
        progress(done, total)
      }
      try writer.finish()
    }
  }

  /// Draws pictures on several threads; the result is in the order of `pictures`.
  private func draw(_ pictures: ArraySlice<SynthesisPlan.Picture>, threads: Int)
    -> [SyntheticPicture]
  {
    let next = Atomic<Int>(0)
    let results = Mutex<[SyntheticPicture?]>(Array(repeating: nil, count: pictures.count))
    DispatchQueue.concurrentPerform(iterations: min(threads, pictures.count)) { _ in
      while true {
        let k = next.wrappingAdd(1, ordering: .relaxed).oldValue
        if k >= pictures.count { return }
        let planned = pictures[pictures.startIndex + k]
        let made = synthesizer.picture(
          number: planned.number, identity: planned.identity, method: planned.method)
        results.withLock { $0[k] = made }
      }
    }
    return results.withLock { $0.map { $0! } }
  }
}
