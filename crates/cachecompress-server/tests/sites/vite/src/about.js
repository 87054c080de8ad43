export const render = () => "<h1>About</h1><p>A small application whose paths are its own.</p>";
