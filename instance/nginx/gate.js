// The gate: says who may have which blob, and which version of it is the newest. Also the page
// that says whether the instance is alive. Written for njs 0.7.9 and later.
//
// The gate answers nginx's auth_request: 204 for a yes, with the blob's version; 403 for
// anything else, with a verdict that content.conf turns into the answer for the client:
// "unknown" (nothing to go by), "refused", "stopped" (the transfer quota is used up), "missing",
// "empty", "unavailable".

import crypto from 'crypto';
import fs from 'fs';
import settings from 'settings.js';

// A changed blob is seen within this time and the three seconds for which its version is kept.
const YES_SECONDS = 5;
// While storage does not answer, it is asked for each blob no more often than this.
const LAST_KNOWN_SECONDS = 20;
const NO_BLOB_SECONDS = 2;

// nginx.conf knows it too, for how long to wait.
const STOPPED = 'the transfer quota of this service is used up';

const MAXIMUM_TOKEN_SECONDS = 24 * 3600;
const MAXIMUM_TOKEN_LENGTH = 8192;
const CLOCK_SKEW_SECONDS = 60;

// An agent that was silent for longer is taken for dead. A pass of it lasts a minute or two.
const AGENT_SILENCE_MS = 5 * 60 * 1000;
// So long after boot, alive means ready too: a roll goes on only from a ready instance.
const SETTLING_MS = 4 * 60 * 1000;

function age(name) {
    try {
        return Date.now() - fs.statSync(settings.run + '/' + name).mtime.getTime();
    } catch (absent) {
        return Infinity;
    }
}

function healthz(r) {
    const settled = age('started') > SETTLING_MS || age('ready') < Infinity;
    const healthy = age('alive') < AGENT_SILENCE_MS && settled;
    const state = healthy ? 'Healthy' : 'Unhealthy';
    r.return(healthy ? 200 : 503, JSON.stringify({ApplicationHealthState: state}));
}

// Value of the Authorization header for storage. The agent writes the file and replaces it long
// before the token in it ends; nginx asks only when it goes to storage.
function storageAuthorization() {
    try {
        return 'Bearer ' + fs.readFileSync(settings.run + '/storage-token', 'utf8');
    } catch (absent) {
        return '';
    }
}

// Asked only when an answer of storage could be kept.
function diskFull() {
    return age('disk-full') < Infinity ? '1' : '';
}

// Compares without telling by its time how much was right.
function equal(left, right) {
    let difference = left.length ^ right.length;
    for (let i = 0; i < right.length; i++) {
        difference |= left.charCodeAt(i % (left.length || 1)) ^ right.charCodeAt(i);
    }
    return difference === 0;
}

function decoded(part) {
    const value = JSON.parse(Buffer.from(part, 'base64url').toString());
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
        throw new Error('not an object');
    }
    return value;
}

function signed(parts) {
    let found = false;
    settings.tokenKeys.forEach((key) => {
        const mac = crypto.createHmac('sha256', key).update(parts[0] + '.' + parts[1]);
        found = equal(parts[2], mac.digest('base64url')) || found;
    });
    return found;
}

// "/apps" covers "/apps" and "/apps/x", not "/apps2".
function covers(prefix, path) {
    const folder = prefix.endsWith('/') ? prefix : prefix + '/';
    return path === prefix || path.startsWith(folder);
}

// Returns {until} or {reason}: until when the token gives a right to the path, or why it does not.
function judgeToken(token, path) {
    const parts = token.split('.');
    if (parts.length !== 3 || token.length > MAXIMUM_TOKEN_LENGTH) {
        return {reason: 'the token is not a JWT'};
    }
    let header, claims;
    try {
        header = decoded(parts[0]);
        claims = decoded(parts[1]);
    } catch (broken) {
        return {reason: 'the token is not a JWT'};
    }
    if (header.alg !== 'HS256' || header.crit !== undefined) {
        return {reason: 'the token is not signed with HS256'};
    }
    if (!signed(parts)) {
        return {reason: 'the token is signed with another key'};
    }
    const now = Date.now() / 1000;
    if (!Number.isFinite(claims.exp) || !Number.isFinite(claims.iat)) {
        return {reason: 'the token lacks exp or iat'};
    }
    if (claims.exp - claims.iat > MAXIMUM_TOKEN_SECONDS) {
        return {reason: 'the token lives longer than 24 hours'};
    }
    if (claims.exp <= now) {
        return {reason: 'the token has expired'};
    }
    if (claims.iat > now + CLOCK_SKEW_SECONDS) {
        return {reason: 'the token is from the future'};
    }
    if (claims.nbf !== undefined
        && !(Number.isFinite(claims.nbf) && claims.nbf <= now + CLOCK_SKEW_SECONDS)) {
        return {reason: 'the token is not valid yet'};
    }
    if (claims.path !== undefined
        && !(typeof claims.path === 'string' && claims.path.startsWith('/')
             && covers(claims.path, path))) {
        return {reason: 'the token is for another path'};
    }
    return {until: claims.exp};
}

// Any one way in is enough. What a client brings besides is no reason to refuse it: Windows'
// Delivery Optimization, for one, adds an Authorization header of its own.
function judgeClient(r, path) {
    if (settings.anonymous) {
        return {until: Infinity};
    }
    const certificate = r.headersIn['X-Client-Certificate'] || 'NONE';
    if (settings.clientCertificates && certificate === 'SUCCESS') {
        return {until: Infinity};
    }
    let reason = '';
    if (settings.clientCertificates && certificate.startsWith('FAILED')) {
        reason = 'the client certificate is refused: ' + certificate.slice('FAILED:'.length);
    }
    if (settings.tokenKeys.length) {
        const bearer = /^bearer +(\S+)$/i.exec(r.headersIn.Authorization || '');
        const tokens = [r.headersIn['X-Query-Token'], bearer && bearer[1]].filter((text) => text);
        for (let i = 0; i < tokens.length; i++) {
            const judged = judgeToken(tokens[i], path);
            if (judged.until) {
                return judged;
            }
            reason = reason || judged.reason;
        }
    }
    return {reason: reason};
}

function needed() {
    const ways = [];
    if (settings.tokenKeys.length) {
        ways.push('a token');
    }
    if (settings.clientCertificates) {
        ways.push('a client certificate');
    }
    return ways.join(' or ') + ' is needed';
}

// For how long nginx keeps the answer. Whoever asks keeps it as one of its own version, which an
// answer by the settings of another must not become.
function keep(r, seconds) {
    const alike = r.headersIn['X-Version'] === r.variables.version;
    r.headersOut['X-Accel-Expires'] = String(alike ? seconds : 0);
}

function refuse(r, verdict, reason, seconds) {
    r.headersOut['X-Verdict'] = verdict;
    r.headersOut['X-Reason'] = reason;
    keep(r, seconds);
    r.return(403);
}

// Whether the client wants another version than the newest only: who goes on with a download asks
// so. nginx would find out when it is too late to say so.
function changed(r, newest) {
    const match = r.headersIn['X-If-Match'];
    const since = r.headersIn['X-If-Unmodified-Since'];
    return (match !== undefined && match !== '*'
            && !match.split(',').some((tag) => tag.trim() === newest.ETag))
        || (since !== undefined
            && !(Date.parse(since) >= Date.parse(newest['Last-Modified'])));
}

async function judge(r) {
    const client = judgeClient(r, r.variables.blob);
    if (client.reason !== undefined) {
        if (client.reason) {
            return refuse(r, 'refused', client.reason, 0);
        }
        // Only a token can be asked for in HTTP; without token keys the answer is a plain no.
        return refuse(r, settings.tokenKeys.length ? 'unknown' : 'refused', needed(), 0);
    }
    let seconds = YES_SECONDS;
    if (age('stopped') < Infinity) {
        return refuse(r, 'stopped', STOPPED, Math.min(seconds, life(client)));
    }
    // Storage takes it for a slash, so that the path here would not be the one that is read there.
    if (r.variables.blob.includes('\\')) {
        return refuse(r, 'missing', '', 0);
    }
    let newest = await r.subrequest('/healthz/newest', {method: 'HEAD'});
    // Storage says 400 to what cannot be the name of a blob.
    if (newest.status === 404 || newest.status === 400) {
        return refuse(r, 'missing', '', Math.min(NO_BLOB_SECONDS, life(client)));
    }
    if (newest.status !== 200) {
        newest = await r.subrequest('/healthz/last-known', {method: 'HEAD'});
        seconds = LAST_KNOWN_SECONDS;
        if (newest.status !== 200) {
            return refuse(r, 'unavailable', '', 0);
        }
    }
    if (changed(r, newest.headersOut)) {
        return refuse(r, 'changed', '', Math.min(seconds, life(client)));
    }
    const size = newest.headersOut['Content-Length'];
    if (size === '0') {
        // Storage knows no range of nothing: such a blob is asked for whole.
        return refuse(r, 'empty', '', Math.min(seconds, life(client)));
    }
    r.headersOut['X-Blob-Version'] = newest.headersOut.ETag;
    r.headersOut['X-Blob-Size'] = size;
    // A yes never outlives the token that it was for.
    keep(r, Math.min(seconds, life(client)));
    return r.return(204);
}

// Seconds for which an answer about this client holds. nginx counts whole ones, from the moment at
// which the answer comes, which may be in the next.
function life(client) {
    return Math.max(0, Math.floor(client.until - Date.now() / 1000) - 1);
}

export default {diskFull, healthz, judge, storageAuthorization};
