import Foundation
import Synchronization

/// Writes a synthetic data set as shards: all of it, or this process's part.
///
/// The shards grow in a hidden folder inside the output folder and move to their names together at the
/// end: the output folder never holds half a data set. The pictures depend on the seed and their
/// numbers only, so neither threads nor the number of parts change a byte.
///
/// ```swift
/// let synthesis = ShardSynthesis(output: "data", plan: plan, synthesizer: synthesizer)
/// try synthesis.prepare(overwrite: false)   // one process
/// try synthesis.write(part: rank, of: size, threads: 2) { done, total in … }  // all
/// try synthesis.publish()                   // one process, when all have written
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

  /// Where shards wait until all are written.
  private var staging: String { output + "/.synthesize-partial" }

  /// Whether a file name is one that this command writes: `SPLIT-NNNNN.h5`.
  private static func isShard(_ name: String) -> Bool {
    guard name.hasSuffix(".h5") else { return false }
    let parts = name.dropLast(3).split(separator: "-", omittingEmptySubsequences: false)
    return parts.count == 2 && SynthesisPlan.splitNames.contains(String(parts[0]))
      && parts[1].count >= 5 && parts[1].allSatisfy(\.isNumber)
  }

  private func existingShards() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: output).filter(Self.isShard).sorted()
  }

  /// Makes the output folder and refuses, unless `overwrite`, if there are shards of a data set in it.
  /// To be called by one process before any writes.
  ///
  /// - Throws: `ShardError` naming the folder or the first file in the way.
  public func prepare(overwrite: Bool) throws {
    do {
      try FileManager.default.createDirectory(
        atPath: output, withIntermediateDirectories: true, attributes: nil)
      let existing = try existingShards()
      if let first = existing.first, !overwrite {
        throw ShardError(
          file: output + "/" + first,
          reason: "a data set is already there; choose another --output or give --overwrite",
          isInputOutput: true)
      }
      // What an interrupted run left behind.
      if FileManager.default.fileExists(atPath: staging) {
        try FileManager.default.removeItem(atPath: staging)
      }
      try FileManager.default.createDirectory(
        atPath: staging, withIntermediateDirectories: false, attributes: nil)
    } catch let error as ShardError {
      throw error
    } catch {
      throw refusal(output, "can't be prepared for writing", error)
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
        path: staging + "/" + shard.fileName, height: synthesizer.size, width: synthesizer.size,
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

  /// Gives all shards their names, in place of those of an earlier data set. To be called by one
  /// process when every part is written.
  public func publish() throws {
    do {
      let old = try existingShards()
      let new = Set(plan.shards.map(\.fileName))
      for name in old where !new.contains(name) {
        try FileManager.default.removeItem(atPath: output + "/" + name)
      }
      for name in new.sorted() {
        guard rename(staging + "/" + name, output + "/" + name) == 0 else {
          throw ShardError(
            file: output + "/" + name,
            reason: "can't take its name: \(String(cString: strerror(errno)))", isInputOutput: true)
        }
      }
      try FileManager.default.removeItem(atPath: staging)
    } catch let error as ShardError {
      throw error
    } catch {
      throw refusal(output, "can't be completed", error)
    }
  }

  /// Removes what was written so far.
  public func discard() { try? FileManager.default.removeItem(atPath: staging) }

  private func refusal(_ file: String, _ what: String, _ error: any Error) -> ShardError {
    // Foundation wraps what the system said.
    let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error
    let text = cause.map { String(cString: strerror(Int32(($0 as NSError).code))) } ?? "\(error)"
    return ShardError(file: file, reason: "\(what): \(text)", isInputOutput: true)
  }
}
