import Foundation
import Foundations

/// A job that makes shards anew, by parts of which each rank takes one. They grow in a hidden folder inside the
/// output folder and move to their names together at the end (see ``ShardOutput``): the output folder never
/// holds half a data set.
///
/// ```swift
/// let place = try job.prepare(overwrite: false)          // one process, which keeps it
/// try job.write(part: rank, of: size, threads: 2) { done, total in … }  // all
/// try job.publish(into: place)                           // the same process, when all have written
/// ```
public protocol ShardJob: Sendable {
  /// The folder for the shards.
  var output: String { get }
  /// The splits that are made, whose earlier shards in the folder give way.
  var splits: [String] { get }
  /// Names of all shards.
  var fileNames: [String] { get }
  /// Images of all shards together.
  var imageCount: Int { get }

  /// Makes the shards of one part, each in ``ShardOutput/staging(of:)``.
  ///
  /// - Parameters:
  ///   - threads: how many images are made at a time.
  ///   - progress: told how many of this part's images are done.
  func write(
    part: Int, of parts: Int, threads: Int, progress: (_ done: Int, _ total: Int) -> Void
  ) throws
}

extension ShardJob {
  /// Makes the output folder, takes it for this job and refuses, unless `overwrite`, if there are
  /// shards of these splits in it. To be called by one process before any writes.
  ///
  /// - Returns: the folder, which is kept from other jobs while the value lives.
  /// - Throws: ``ShardError`` naming the folder or the first file in the way.
  public func prepare(overwrite: Bool) throws -> ShardOutput {
    do {
      let place = try ShardOutput(opening: output)
      do {
        if let first = try place.shards(of: splits).first, !overwrite {
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
      throw ShardError(error)
    } catch is ShardOutput.InUse {
      throw ShardError(
        file: output, reason: "another rfm pack or rfm synthesize writes here; wait for its end",
        isInputOutput: true)
    }
  }

  /// Gives all shards their names, in place of those of an earlier data set. To be called by the
  /// process that has `place` from ``prepare(overwrite:)``, when every part is written.
  public func publish(into place: ShardOutput) throws {
    do {
      try place.publish(fileNames.map { (staged: $0, name: $0) }, of: splits)
    } catch let error as FileError {
      throw ShardError(error)
    }
  }
}

extension ShardError {
  init(_ error: FileError) {
    self.init(
      file: error.path,
      reason: "can't \(error.operation): \(String(cString: strerror(error.code)))",
      isInputOutput: true)
  }
}
