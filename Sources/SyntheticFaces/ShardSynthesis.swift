import FaceShards
import Foundation
import Foundations
import Synchronization

/// Writes a synthetic data set as shards: all of it, or this process's part.
///
/// The shards grow in a hidden folder inside the output folder and move to their names together at
/// the end (see `ShardOutput`): the output folder never holds half a data set. The pictures depend
/// on the seed and their numbers only, so neither threads nor the number of parts change a byte.
///
/// ```swift
/// let synthesis = ShardSynthesis(output: "data", plan: plan, synthesizer: synthesizer)
/// let place = try synthesis.prepare(overwrite: false)   // one process, which keeps it
/// try synthesis.write(part: rank, of: size, threads: 2) { done, total in … }  // all
/// try synthesis.publish(into: place)        // the same process, when all have written
/// ```
public struct ShardSynthesis: Sendable {
  public let output: String
  public let plan: SynthesisPlan
  public let synthesizer: FaceSynthesizer

  public init(output: String, plan: SynthesisPlan, synthesizer: FaceSynthesizer) {
    self.output = output
    self.plan = plan
    self.synthesizer = synthesizer
  }

  /// Makes the output folder, takes it for this job and refuses, unless `overwrite`, if there are
  /// shards of a data set in it. To be called by one process before any writes.
  ///
  /// - Returns: the folder, which is kept from other jobs while the value lives.
  /// - Throws: `ShardError` naming the folder or the first file in the way.
  public func prepare(overwrite: Bool) throws -> ShardOutput {
    do {
      let place = try ShardOutput(opening: output)
      do {
        if let first = try place.shards(of: SynthesisPlan.splitNames).first, !overwrite {
          throw ShardError(
            file: output + "/" + first,
            reason: "a data set is already there; choose another --output or give --overwrite",
            isInputOutput: true)
        }
        try place.stage()
      } catch {
        place.abandon()
        throw error
      }
      return place
    } catch let error as FileError {
      throw refusal(error)
    } catch is ShardOutput.InUse {
      throw ShardError(
        file: output, reason: "another rfm pack or rfm synthesize writes here; wait for its end",
        isInputOutput: true)
    }
  }

  /// Draws and writes the shards of one part.
  ///
  /// - Parameters:
  ///   - threads: how many pictures are drawn at a time.
  ///   - progress: told how many of this part's pictures are done.
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

  /// Gives all shards their names, in place of those of an earlier data set. To be called by the
  /// process that has `place` from ``prepare(overwrite:)``, when every part is written.
  public func publish(into place: ShardOutput) throws {
    do {
      try place.publish(
        plan.shards.map { (staged: $0.fileName, name: $0.fileName) }, of: SynthesisPlan.splitNames)
    } catch let error as FileError {
      throw refusal(error)
    }
  }

  private func refusal(_ error: FileError) -> ShardError {
    ShardError(
      file: error.path,
      reason: "can't \(error.operation): \(String(cString: strerror(error.code)))",
      isInputOutput: true)
  }
}
